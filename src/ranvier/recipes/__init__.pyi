from ranvier.recipes.config import Config as Config
from ranvier.recipes.config import ConfigError as ConfigError
from ranvier.recipes.config import build_config as build_config
from ranvier.recipes.evaluation import Evaluation as Evaluation
from ranvier.recipes.evaluation import evaluate as evaluate
from ranvier.recipes.evaluation import evaluate_file as evaluate_file
from ranvier.recipes.fit import ProgressCallback as ProgressCallback
from ranvier.recipes.networks import load_network as load_network
from ranvier.recipes.networks import read_run as read_run
from ranvier.recipes.recipe_files import load_values as load_values
from ranvier.recipes.recipe_files import recipe_names as recipe_names
from ranvier.recipes.report import write_report as write_report
from ranvier.recipes.train_run import resume as resume
from ranvier.recipes.train_run import train as train

__all__ = [
    "Config",
    "ConfigError",
    "Evaluation",
    "ProgressCallback",
    "build_config",
    "evaluate",
    "evaluate_file",
    "load_network",
    "load_values",
    "read_run",
    "recipe_names",
    "resume",
    "train",
    "write_report",
]
