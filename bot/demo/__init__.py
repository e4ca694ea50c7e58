"""`homing demo`: the promises shown in a terminal, with the real gateway, node and web chat as processes of their own.

chat     a person at the web chat, over HTTP
gateway  the gateway as a process that can be killed
script   what happens, in order, and the claims that are checked at the end
"""

from bot.demo.script import run_demo

__all__ = ["run_demo"]
