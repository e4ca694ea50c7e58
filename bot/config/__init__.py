"""config.toml and the environment -> frozen settings. Deliberately absent: any default that opens or builds something.

settings   the models: every key, its unit, its bounds
accounts   the models of the accounts on the chat networks
agents     the model of [[agents]]
audit      the model of [audit]
execution  the model of [execution]
glass      the model of [break_glass]
sections   what the models are made of
values     lengths of time, sizes, hours of the day, ids and places as people write them
reading    file and environment -> Settings, or every fault at once
rules      Settings -> the domain's Policy, and what is odd about it
clock      the models of [heartbeat], [[schedule]] and [[hook]]
woken      what those are wrong about together, and whose cadences there are
restart    what of a changed config a running gateway takes, and what its next start brings
bindings   Settings -> which agent answers where
admissions Settings -> the domain's Gate and the fallbacks of the accounts
secrets    Settings -> every value that is secret, for what masks them
example    the models -> config.example.toml, and the first config.toml
"""

from __future__ import annotations

from bot.config.admissions import hears, to_fallbacks, to_gate
from bot.config.bindings import to_bindings
from bot.config.example import example, first_config
from bot.config.reading import load_settings, schema
from bot.config.rules import to_policy, warnings
from bot.config.settings import Settings

__all__ = [
    "Settings",
    "example",
    "first_config",
    "hears",
    "load_settings",
    "schema",
    "to_bindings",
    "to_fallbacks",
    "to_gate",
    "to_policy",
    "warnings",
]
