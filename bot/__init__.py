"""The core of Homing: knows no chat network.

domain   pure values and tables: keys, messages, commands, executions, events, policy, rendering
ports    all that the core asks of the world, as Protocols
flow     the story in the order of time: intake, turn, decision, dispatch, completion, heartbeat, sweep
agent    who answers a turn: `commands`, without a model
store    one schema on SQLite and PostgreSQL
node     the machine that runs commands, and the gateway's end of its connection
app      composes all of it, and is the only file that imports `channels`; cli parses the command line
"""

__version__ = "0.1.0"
