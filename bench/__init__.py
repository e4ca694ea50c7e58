"""`python -m bench`: what a result costs, from a node's finished report to the told message leaving the gateway.

outside  a process of its own: the node that reports, and the chat network that takes the message; it holds the clock
inside   the gateway's side, three times: the whole core, the store's own transaction alone, and the bare floor
"""
