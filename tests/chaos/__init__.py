"""Kills at named points of the whole program, and what must hold after them.

points    the named points: every commit, frame, send, acknowledgement and journal entry, read from the code itself
fuse      what a process does when it passes a point: note it, and die there if it was told to
wraps     where the points are put around the product's own functions, in the test's processes only
planted   ten deliberate faults, which the harness has to find
programs  the gateway and the node as processes
world     one home with its processes, the platform servers, and people
people    how people write, press and read, on each network alike
stories   what people do, so that every point is passed
records   three independent records compared: the node's system, the platforms, the store
cover     every point once
storm     random kills for as long as one asks
"""
