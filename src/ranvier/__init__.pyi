from ranvier.recipes.networks import load_network as load_network
from ranvier.recipes.networks import read_run as read_run

__version__: str
__all__ = ["__version__", "load_network", "read_run"]
