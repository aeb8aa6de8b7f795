"""One page about one model."""

from __future__ import annotations

from runner.reports import theme
from runner.reports.answers import model_sentences
from runner.reports.data import ModelView, RunData
from runner.reports.figures.curves import Grid, draw_curves
from runner.reports.figures.fit import draw_fit, draw_residual_scatter
from runner.reports.figures.media import draw_adstock, draw_carryover
from runner.reports.figures.shares import draw_efficiency, draw_shares
from runner.reports.figures.waterfall import draw_waterfall, waterfall_steps
from runner.reports.sheet import GAP, MARGIN, ROW, WIDTH, Box, Sheet, fit
from runner.reports.words import say

HEAD = 1.35
ANSWER_ROW = 0.26
FIT_HEIGHT, SCATTER_HEIGHT = 5.6, 4.2
PARTS = ("train", "val", "test")


def one_pager(run: RunData, view: ModelView) -> Sheet:
    """The sheet of a model; about 17 x 19 inches, longer where there are many channels."""
    heights, grid = _heights(run, view)
    title = say("model.title", candidate=view.candidate)
    answer = model_sentences(run, view)
    inner, y = WIDTH - 2 * MARGIN, MARGIN + HEAD + ANSWER_ROW * len(answer)
    sheet = Sheet(WIDTH, y + sum(heights) + GAP * len(heights), title)
    _head(sheet, run, view)
    for row, sentence in enumerate(answer):
        top = MARGIN + HEAD - 0.25 + ANSWER_ROW * row
        sheet.text(MARGIN, top, fit(sentence, inner, 11, bold=True), 11, weight="bold")
    sheet.line(y - 0.2, MARGIN, inner)
    boxes = []
    for height in heights:
        boxes.append(Box(MARGIN, y, inner, height))
        y += height + GAP
    left, right = boxes[0].columns(0.47, 0.53)
    draw_waterfall(sheet, left, run, view)
    draw_fit(sheet, _lower(right, FIT_HEIGHT), run, view)
    left, right = boxes[1].columns(0.47, 0.53)
    draw_shares(sheet, left, run, view)
    draw_efficiency(sheet, right, run, view)
    left, middle, right = boxes[2].columns(0.36, 0.3, 0.34)
    draw_adstock(sheet, left, run, view)
    draw_carryover(sheet, middle, run, view)
    draw_residual_scatter(sheet, _lower(right, SCATTER_HEIGHT), run, view)
    draw_curves(sheet, boxes[3], run, view, grid)
    return sheet


def _lower(box: Box, most: float) -> Box:
    """A box that is no higher than its content can use."""
    return Box(box.x, box.y, box.width, min(box.height, most))


def _heights(run: RunData, view: ModelView) -> tuple[list[float], Grid]:
    grid = Grid.of(run.problem.n_paid, WIDTH - 2 * MARGIN)
    steps = len(waterfall_steps(run, view)) + 1
    first = max(4.7, 0.9 + ROW * steps)
    second = max(3.5, 1.1 + 1.3 * ROW * run.problem.n_paid)
    third = max(3.5, 1.1 + ROW * len(run.problem.media))
    return [first, second, third, grid.height], grid


def _head(sheet: Sheet, run: RunData, view: ModelView) -> None:
    start, end = run.window
    subtitle = say(
        "model.subtitle",
        experiment=theme.elide(theme.printable(run.spec.name), 40),
        start=start,
        end=end,
        periods=run.problem.n_window,
        period=say(f"{run.frequency}.many"),
        adstock=say(str(run.problem.adstock)),
        cluster=view.cluster,
    )
    table = 5.2
    room = WIDTH - 2 * MARGIN - table
    sheet.text(MARGIN, MARGIN - 0.1, sheet.title, 24, weight="bold")
    sheet.text(MARGIN, MARGIN + 0.42, fit(subtitle, room, 11), 11, color=theme.MUTED)
    scores = say("model.scores", rssd=f"{view.losses['decomp_rssd']:.4f}", score=f"{view.error_score:.4f}")
    if view.losses["mape"] > 0:
        scores += say("model.mape", mape=theme.percent(view.losses["mape"]))
    sheet.text(MARGIN, MARGIN + 0.68, scores, 11, color=theme.MUTED)
    _losses(sheet, Box(WIDTH - MARGIN - table, MARGIN - 0.05, table, 1.0), view)


def _losses(sheet: Sheet, box: Box, view: ModelView) -> None:
    """Losses by part of the split, as a small table."""
    parts = dict(view.parts())
    columns = [box.x + 2.3 + 1.3 * i for i in range(3)]
    for x, head in zip(columns, ("rows", "nrmse", "rsq"), strict=True):
        sheet.text(x, box.y, say(f"model.head.{head}"), 9, color=theme.MUTED, ha="right")
    for i, part in enumerate(part for part in PARTS if part in parts):
        y = box.y + 0.24 * (i + 1)
        rows = parts[part].stop - parts[part].start
        values = f"{rows}", f"{view.losses[f'nrmse_{part}']:.4f}", f"{view.losses[f'rsq_{part}']:.3f}"
        sheet.text(box.x + 0.6, y, say(part), 10.5, color=theme.SPLIT_COLOURS[part], weight="bold")
        for x, value in zip(columns, values, strict=True):
            sheet.text(x, y, value.replace("-", "−"), 10.5, ha="right")
