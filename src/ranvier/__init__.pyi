from ranvier.recipes.networks import load_network as load_network

__version__: str
__all__ = ["__version__", "load_network"]
