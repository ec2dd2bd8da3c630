"""Python functions as a server: the object that ``module:name`` in a configuration stands for.

The module is trusted code. It is imported into the portal's own process, and may do whatever the portal may.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from typing import TYPE_CHECKING

from portal._errors import ConfigError
from portal._server_config import PYTHON_EXAMPLE, check_provider_path
from portal._suggestion import listing, nearest

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType
    from typing import TypeGuard

    from engine import Provider


def load_provider(path: str, *, folder: Path | None = None) -> Provider:
    """Import the module in ``path`` and return its provider.

    ``folder`` joins the places where modules are looked for, as the last one. Raises ``ConfigError`` with what to do.
    """
    check_provider_path(path)
    name = path.partition(":")[2]
    module = _module(path.partition(":")[0], folder)
    found: object = getattr(module, name, None)
    if _is_provider(found):
        return found
    offered = [known for known, value in vars(module).items() if _is_provider(value)]
    if found is None:
        near = nearest(name, offered) or (offered[0] if offered else None)
        advice = f'did you mean "{module.__name__}:{near}"?' if near else PYTHON_EXAMPLE + "."
        raise _error(f"the module {module.__name__} has no {name}: {advice}")
    what = f"a {type(found).__name__}" if not isinstance(found, type) else "a class"
    advice = f"its tools are in {listing(offered)}" if offered else 'write tools = Tools("...") and name that'
    raise _error(f'"{path}" is {what}, not a provider of tools: {advice}.')


def _module(name: str, folder: Path | None) -> ModuleType:
    # Last, so that no file beside a configuration can stand in for a module of Python's or Portico's own.
    if folder is not None and str(folder.resolve()) not in sys.path:
        sys.path.append(str(folder.resolve()))
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            advice = f"it needs the module {error.name}, which is not installed in Portico's environment"
            raise _error(f"{name} cannot be imported: {advice}.") from error
        file = f"{error.name.replace('.', '/')}.py"
        where = f"put {file} beside the configuration file, in {folder}," if folder else "put it on PYTHONPATH"
        raise _error(f"there is no module {error.name}: {where} or install it in Portico's environment.") from error
    except (Exception, SystemExit) as error:
        # Whatever a module does when it is imported: the operator wrote it, and reads this.
        what = traceback.format_exception_only(error)[-1].strip()
        raise _error(f"importing {name} failed at {_place(error)}: {what}") from error


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "its first line"


def _is_provider(value: object) -> TypeGuard[Provider]:
    from engine import Provider  # noqa: PLC0415 -- most configurations name no Python and need no engine to be read

    return isinstance(value, Provider) and not isinstance(value, type)


def _error(message: str) -> ConfigError:
    return ConfigError(f"python: {message}", key="python")
