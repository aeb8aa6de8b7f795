"""What KubeRay accepts (ray.io/v1 of 1.5 to 1.6), as JSON Schemas, less the pod templates: those are Kubernetes' own.

Restated from the types that KubeRay's custom resource definitions are generated from (ray-operator/apis/ray/v1); fields
of services and ingresses that we shall not use are left out, and so refused.
"""

from __future__ import annotations

from typing import Any


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


TEXT: dict[str, Any] = {"type": "string"}
YES_NO: dict[str, Any] = {"type": "boolean"}
ANYTHING: dict[str, Any] = {"type": "object"}
COUNT: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
TEXTS: dict[str, Any] = {"type": "object", "additionalProperties": TEXT}

# The template is checked by Kubernetes' schema of a PodTemplate.
_GROUP = {"rayStartParams": TEXTS, "template": ANYTHING, "labels": TEXTS, "resources": TEXTS}
HEAD_GROUP = _object(
    ("template",),
    **_GROUP,
    serviceType={"enum": ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]},
    enableIngress=YES_NO,
)
WORKER_GROUP = _object(
    ("groupName", "maxReplicas", "minReplicas", "template"),
    **_GROUP,
    groupName=TEXT,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    numOfHosts={**COUNT, "minimum": 1},
    idleTimeoutSeconds=COUNT,
    suspend=YES_NO,
    scaleStrategy=_object(workersToDelete={"type": "array", "items": TEXT}),
)
AUTOSCALER = _object(
    idleTimeoutSeconds=COUNT,
    upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
    version={"enum": ["v1", "v2"]},
    image=TEXT,
    imagePullPolicy={"enum": ["Always", "Never", "IfNotPresent"]},
    resources=ANYTHING,
    securityContext=ANYTHING,
    env={"type": "array"},
    envFrom={"type": "array"},
    volumeMounts={"type": "array"},
)
CLUSTER_SPEC = _object(
    ("headGroupSpec",),
    rayVersion=TEXT,
    authOptions=_object(mode={"enum": ["disabled", "token"]}, enableK8sTokenAuth=YES_NO),
    enableInTreeAutoscaling=YES_NO,
    autoscalerOptions=AUTOSCALER,
    headServiceAnnotations=TEXTS,
    headGroupSpec=HEAD_GROUP,
    workerGroupSpecs={"type": "array", "items": WORKER_GROUP},
    gcsFaultToleranceOptions=ANYTHING,
    suspend=YES_NO,
    managedBy={"enum": ["ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue"]},
)
JOB_SPEC = _object(
    entrypoint=TEXT,
    entrypointNumCpus={"type": "number"},
    entrypointNumGpus={"type": "number"},
    entrypointResources=TEXT,
    runtimeEnvYAML=TEXT,
    jobId=TEXT,
    metadata=TEXTS,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
    submitterPodTemplate=ANYTHING,
    submitterConfig=_object(backoffLimit=COUNT),
    backoffLimit=COUNT,
    activeDeadlineSeconds={**COUNT, "minimum": 1},
    ttlSecondsAfterFinished=COUNT,
    shutdownAfterJobFinishes=YES_NO,
    suspend=YES_NO,
    clusterSelector=TEXTS,
    managedBy={"enum": ["ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue"]},
    rayClusterSpec=CLUSTER_SPEC,
)
NAME = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?-?$", "maxLength": 253}
METADATA = _object(name=NAME, generateName=NAME, namespace=NAME, labels=TEXTS, annotations=TEXTS)


def resource(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A manifest of this kind."""
    return _object(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion={"const": "ray.io/v1"},
        kind={"const": kind},
        metadata=METADATA,
        spec=spec,
    )


SCHEMAS = {"RayCluster": resource("RayCluster", CLUSTER_SPEC), "RayJob": resource("RayJob", JOB_SPEC)}
