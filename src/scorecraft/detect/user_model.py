"""A user's own torch model by name: a callable in a module or a file, or an exported program."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from scorecraft.errors import ScorecraftError, nearest

EXPORTED = ".pt2"


def load_model(spec: str, weights: Path | None = None, device: str = "cpu") -> nn.Module:
    """Return a model ready to be read: in evaluation mode, on its device.

    Args:
        spec: ``module:name`` or ``path/file.py:name``, a model or what returns one when it is called without arguments,
            modules
            being looked for in the current folder first; or a program that ``torch.export`` saved, ``.pt2``.
        weights: a safetensors file of its ``state_dict``, loaded strictly.
        device: where it computes.

    Raises `ScorecraftError` where it is not found, is no model, raises, or does not take the weights; pickled models
    are refused, since reading them runs what they hold.
    """
    path = Path(spec)
    if path.suffix == EXPORTED:
        if weights is not None:
            raise ScorecraftError(f"{path}: an exported program has its weights; leave out the others")
        return _exported(path).to(device)
    if path.suffix in (".pt", ".pth", ".pkl", ".bin"):
        raise ScorecraftError(
            f"{path}: a pickled model is not read, since that would run what it holds; name what makes it, such as "
            "my_models.py:make, with its weights as safetensors, or save it with torch.export as .pt2"
        )
    where, colon, name = spec.rpartition(":")
    if not colon or not where or not name:
        raise ScorecraftError(f"model '{spec}': expected module:name, file.py:name, or a {EXPORTED} file")
    found = _made(spec, _module(where), name)
    if weights is not None:
        _load_weights(found, weights)
    return found.to(device).eval()


def _module(where: str) -> ModuleType:
    path = Path(where)
    name = where
    if path.suffix == ".py":
        if not path.is_file():
            raise ScorecraftError(f"{path}: no such file of Python code")
        folder, name = path.resolve().parent, path.stem
    else:
        folder = Path.cwd()
    try:
        sys.path.insert(0, str(folder))
        return importlib.import_module(name)
    except Exception as error:
        raise ScorecraftError(f"model: '{where}' cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(folder))


def _made(spec: str, module: ModuleType, name: str) -> nn.Module:
    if not hasattr(module, name):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ScorecraftError(f"model '{spec}': no '{name}' there: {nearest(name, known)}")
    found = getattr(module, name)
    if not isinstance(found, nn.Module) and callable(found):
        try:
            found = found()
        except Exception as error:
            raise ScorecraftError(f"model '{spec}': '{name}()' raised {type(error).__name__}: {error}") from error
    if not isinstance(found, nn.Module):
        raise ScorecraftError(f"model '{spec}': expected a torch.nn.Module, got {type(found).__name__}")
    return found


def _load_weights(model: nn.Module, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ScorecraftError(f"{path}: these weights do not fit the model ({' '.join(str(error).split())})") from None


def _exported(path: Path) -> nn.Module:
    if not path.is_file():
        raise ScorecraftError(f"{path}: no such file")
    try:
        found: Any = torch.export.load(path).module()
    except Exception as error:
        raise ScorecraftError(f"{path}: not a program that torch.export saved ({error})") from None
    # A program has the mode that it was exported in, and refuses to change it.
    found.train = lambda mode=True: found
    found.eval = lambda: found
    return found
