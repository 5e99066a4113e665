"""One method a file. Importing the package imports every file, so that each algorithm registers itself."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
