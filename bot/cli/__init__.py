"""`homing`: the command line. No logic of the product: it asks the store, changes a row, or starts a process.

main        every fault as one line
tree        the commands' tree, and what is said of a wrong word
options     what several commands take
opened      config and store, for the length of one command
shown       one JSON document, or lines and tables
aside       words and log of long-lived processes
processes   run, demo
node_start  node, without the tree
node        node check, node example
executions  status, why, executions, approvals
events      events list, retell
nodes       nodes list, pair, revoke
switches    pause, resume, backup, invite
audit       audit show, verify, export, redact; audit_file: exports as files
config      config check, schema, example
checks      doctor
"""

from bot.cli.main import main

__all__ = ["main"]
