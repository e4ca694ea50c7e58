"""File and environment -> Settings, or one `ConfigError` with every fault: where, which key, what, and the remedy.

Deliberately absent: any value in a message. A value may be a secret that stands in the wrong place.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import EnvSettingsSource, SettingsError

from bot.config.accounts import AccountSection
from bot.config.agents import AgentsSection
from bot.config.rules import disagreements
from bot.config.settings import ENV_DELIMITER, ENV_PREFIX, Settings
from bot.config.values import did_you_mean, parse_length_s
from bot.domain.session import DEFAULT_ACCOUNT
from bot.errors import ConfigError

Tree = dict[str, Any]
Path_ = tuple[str, ...]

OWN_NAMES = frozenset({"HOMING_CONFIG", "HOMING_LOG", "HOMING_TEST_POSTGRES", "HOMING_TRACEBACK"})
"""Names of the environment that are no keys: the config's path, the log's form, the tests' server, and how faults are
shown."""
MAX_SECRET_FILE_BYTES = 65_536
"""A secret is a line; what is longer is another file."""

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}")


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of this file under this environment. Raises `ConfigError`. None: the environment alone."""
    reader = _Reader(path, environ)
    settings = reader.read()
    if settings is None:
        raise ConfigError(tuple(dict.fromkeys(reader.faults)))
    return settings


class _Reader:
    def __init__(self, path: Path | None, environ: Mapping[str, str]) -> None:
        self.faults: list[str] = []
        self._path = path
        self._label = "environment" if path is None else path.name
        self._environ = environ
        self._named: set[str] = set()
        """Names of the environment that the file refers to."""
        self._from_env: dict[Path_, str] = {}

    def read(self) -> Settings | None:
        written = {} if self._path is None else self._file(self._path)
        if written is None:
            return None
        tree = {key: self._expanded(value, (key,)) for key, value in written.items()}
        _merge(tree, self._environment())
        for key in [key for key in tree if key not in Settings.model_fields]:
            # Taken out here: the model's constructor has arguments of its own.
            del tree[key]
            self._fault((key,), f"unknown key; {did_you_mean(key, Settings.model_fields)}")
        self._resolve(tree)
        return self._validated(tree)

    def _fault(self, loc: tuple[int | str, ...], text: str) -> None:
        names = tuple(part for part in loc if isinstance(part, str))
        env = next((name for path, name in self._from_env.items() if names[: len(path)] == path), None)
        dotted = ""
        for part in loc:
            dotted += f"[{part}]" if isinstance(part, int) else f".{part}" if dotted else part
        where = self._label if env is None else f"environment {env}"
        self.faults.append(f"{where}: {dotted}: {text}" if dotted else f"{where}: {text}")

    def _file(self, path: Path) -> Tree | None:
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self._fault((), "there is no such file; `homing run` writes one at its first start")
        except (OSError, UnicodeDecodeError) as fault:
            self._fault((), f"cannot be read ({type(fault).__name__}); check the path, its rights and that it is UTF-8")
        except tomllib.TOMLDecodeError as fault:
            at = re.search(r"\(at (.*)\)", str(fault))
            where = at[1] if at else "somewhere"
            self._fault(
                (),
                f"is no TOML at {where}; strings stand in double quotes, a table's name in [brackets], and a list's, "
                "such as [[rule]] or [[people]], in two on both sides",
            )
        return None

    def _expanded(self, value: object, loc: tuple[int | str, ...]) -> object:
        """`${NAME}` in texts of the file becomes the environment's value; `$${` is a plain `${`."""
        if isinstance(value, dict):
            return {key: self._expanded(one, (*loc, key)) for key, one in value.items()}
        if isinstance(value, list):
            return [self._expanded(one, (*loc, number)) for number, one in enumerate(value)]
        if not isinstance(value, str):
            return value

        def fill(found: re.Match[str]) -> str:
            name = found["name"]
            if name is None:
                return "${"
            self._named.add(name)
            if name not in self._environ:
                self._fault(loc, f"the environment has no {name}; set it, or write the value another way")
            return self._environ.get(name, "")

        return _REFERENCE.sub(fill, value)

    def _environment(self) -> Tree:
        """What the environment's `HOMING_…` names say, each read by itself so that every fault is found."""
        known = {_env_name(path): path for path in _paths(Settings, ())}
        tree: Tree = {}
        source = EnvSettingsSource(
            Settings, env_prefix=ENV_PREFIX, env_nested_delimiter=ENV_DELIMITER, case_sensitive=False
        )
        for name, value in sorted(self._environ.items()):
            if not name.startswith(ENV_PREFIX) or name in OWN_NAMES or name in self._named:
                continue
            if name not in known:
                self.faults.append(f"environment: {name}: unknown name; {did_you_mean(name, known)}")
                continue
            self._from_env[known[name]] = name
            source.env_vars = {name.lower(): value}
            try:
                _merge(tree, source())
            except SettingsError:
                self._fault(
                    known[name], """is no JSON, which lists and tables are written in here, such as ["owner"]"""
                )
        return tree

    def _resolve(self, tree: Tree) -> None:
        """Relative paths stand beside the file; `<key>_file` becomes `<key>`; well-known names of the environment."""
        here = Path.cwd() if self._path is None else self._path.resolve().parent
        for name, field in Settings.model_fields.items():
            model = _model_of(field)
            if model is None:
                continue
            found = tree.setdefault(name, {}) if _table(field) is not None else tree.get(name)
            # One table, or a list of them; what is neither is the model's to refuse.
            for number, section in enumerate(found if isinstance(found, list) else [found]):
                if isinstance(section, dict):
                    loc = (name, number) if isinstance(found, list) else (name,)
                    self._resolve_one(model, loc, section, here)

    def _resolve_one(self, model: type[BaseModel], loc: tuple[int | str, ...], section: Tree, here: Path) -> None:
        for key in _keys_of(model, Path):
            value = section.get(key, model.model_fields[key].default)
            if isinstance(value, (str, Path)):
                section[key] = str(here / Path(value).expanduser())
        for key in _keys_of(model, SecretStr):
            if f"{key}_file" in section:
                self._read_secret(loc, key, section)
        if issubclass(model, AgentsSection) and not section.keys() & {"api_key", "api_key_file", "base_url"}:
            # Another address gets no key that was meant for the provider.
            name = model.environment.get(str(section.get("model")).partition(":")[0])
            if name is not None and self._environ.get(name):
                section["api_key"] = self._environ[name]
        if issubclass(model, AccountSection) and section.get("account", DEFAULT_ACCOUNT) == DEFAULT_ACCOUNT:
            for key, name in model.environment.items():
                if key not in section and f"{key}_file" not in section and self._environ.get(name):
                    section[key] = self._environ[name]

    def _read_secret(self, table: tuple[int | str, ...], key: str, section: Tree) -> None:
        loc = (*table, f"{key}_file")
        if key in section:
            self._fault(loc, f"stands beside {key}; keep one of them")
            return
        try:
            raw = Path(str(section[f"{key}_file"])).read_bytes()[: MAX_SECRET_FILE_BYTES + 1]
            if len(raw) > MAX_SECRET_FILE_BYTES or not raw.strip():
                self._fault(loc, "the file is empty or too long for a secret; put the one line into it")
                return
            section[key] = raw.decode().strip()
        except (OSError, UnicodeDecodeError) as fault:
            self._fault(loc, f"the file cannot be read ({type(fault).__name__}); check the path, and the rights on it")

    def _validated(self, tree: Tree) -> Settings | None:
        faulty: set[object] = set()
        try:
            settings = Settings(**tree)
        except ValidationError as fault:
            for error in fault.errors(include_url=False, include_context=False, include_input=False):
                faulty.add(error["loc"][0])
                if error["type"] == "missing" and _is_read_from_file(tree, error["loc"]):
                    # The file's own fault is named already.
                    continue
                self._fault(error["loc"], _worded(error))
            if "people" in faulty:
                return None
            # What is sound by itself is still compared with the rest, so that all faults are named at once.
            settings = Settings(**{key: value for key, value in tree.items() if key not in faulty})
        for key, text in disagreements(settings):
            self.faults.append(f"{self._label}: {key}: {text}")
        return None if self.faults else settings


def _is_read_from_file(tree: Tree, loc: tuple[int | str, ...]) -> bool:
    section: Any = tree
    for part in loc[:-1]:
        section = section[part]
    return isinstance(section, dict) and f"{loc[-1]}_file" in section


def _worded(error: ErrorDetails) -> str:
    """The model's fault as ours, with the remedy. Its messages hold no input: values are left out above."""
    loc = error["loc"]
    if error["type"] == "extra_forbidden":
        model, plain = _model_at(loc[:-1]), Settings.model_fields.get(str(loc[-1]))
        if plain is not None and _model_of(plain) is None:
            # TOML gives a plain key to the table above it, so that one appended to a file ends up in the last table.
            return "unknown key here; move it to the top of the file, above the first [table]"
        return f"unknown key; {did_you_mean(str(loc[-1]), model.model_fields if model else ())}"
    if error["type"] == "value_error":
        return error["msg"].removeprefix("Value error, ")
    field = _field_at(loc)
    remedy = f"; it is: {field.description}" if field is not None and field.description else ""
    if error["type"] == "tuple_type" and field is not None and _model_of(field) is not None:
        return f"is a list of tables; write [[{loc[-1]}]], with two brackets on both sides"
    if error["type"] == "missing":
        return f"is missing{remedy}"
    if error["type"] == "too_short":
        return f"is empty; name at least one{remedy}"
    unit = " s" if field is not None and _is_length(field) and error["type"].endswith(("_than", "_than_equal")) else ""
    return error["msg"].replace("Input should", "should", 1) + unit + remedy


def _is_length(field: FieldInfo) -> bool:
    """Whether it is compared in seconds, however it was written."""
    return any(
        getattr(part, "func", None) is parse_length_s for part in (*field.metadata, *_parts_of(field.annotation))
    )


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a table, or of the entries of a list of tables."""
    for candidate in (field.annotation, *get_args(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _keys_of(model: type[BaseModel], kind: type) -> list[str]:
    """The keys whose values are of this kind, or None."""
    return [key for key, field in model.model_fields.items() if kind in _parts_of(field.annotation)]


def _parts_of(annotation: object) -> Iterator[object]:
    """The annotation and all that it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from _parts_of(part)


def _table(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a table; None for a list of tables and for a plain key."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _model_at(loc: tuple[int | str, ...]) -> type[BaseModel] | None:
    model: type[BaseModel] | None = Settings
    for part in loc:
        if isinstance(part, str):
            field = model.model_fields.get(part) if model is not None else None
            model = _model_of(field) if field is not None else None
    return model


def _field_at(loc: tuple[int | str, ...]) -> FieldInfo | None:
    names = [part for part in loc if isinstance(part, str)]
    model = _model_at(tuple(names[:-1]))
    return model.model_fields.get(names[-1]) if model is not None and names else None


def _paths(model: type[BaseModel], above: Path_) -> Iterator[Path_]:
    """Every key that a name of the environment can set. Entries of lists are set by the whole list."""
    for name, field in model.model_fields.items():
        yield (*above, name)
        inner = _table(field)
        if inner is not None:
            yield from _paths(inner, (*above, name))


def _env_name(path: Path_) -> str:
    return ENV_PREFIX + ENV_DELIMITER.join(path).upper()


def _merge(below: Tree, above: Mapping[str, Any]) -> None:
    """Lay `above` over `below`, table by table."""
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(below.get(key), dict):
            _merge(below[key], value)
        else:
            below[key] = value


def schema() -> str:
    """The JSON schema of config.toml, for editors."""
    return json.dumps(Settings.model_json_schema(), indent=2, ensure_ascii=False)
