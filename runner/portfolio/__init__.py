"""Many models in one spec: the same experiment for every market, brand or product, on one cluster, in one run.

spec       what was asked: the models, each a complete spec of its own
members    how a spec names its models: a list, a table, or key columns of a long table
orders     a model's data, read and checked, ready to travel
remote     one model on a worker, and its run folder on the way home
driving    all models: many at a time, each as one task, or few, whose trials and refits are spread
folder     the folder of it all, which holds a run folder for each model
results    what the models found, as tables; pooling and summary
page       the page    show  the terminal    progress, clock  how far it is, and how long it took    beside  MLflow
"""

from runner.portfolio.folder import PortfolioFolder
from runner.portfolio.spec import PortfolioSpec, is_portfolio, load_portfolio

__all__ = ["PortfolioFolder", "PortfolioSpec", "is_portfolio", "load_portfolio"]
