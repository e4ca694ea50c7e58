"""Discord, through discord.py.

wire         what comes in: the library's values -> ours; slash commands; ids by shape. Pure.
form         what goes out: a post -> texts, buttons and a file as Discord takes them. Pure.
faults       what went wrong -> the remedy. Pure.
client       the library's clients as we use them
rest         sends, edits and looks, by the bot's token
gateway      the connection that listens: its life, its shards, its back-off
hearing      deliveries -> the inbox, recorded in the order of each conversation
interactions presses, forms and slash commands, answered inside Discord's 3 s
catchup      what was said and reacted to while nobody listened
commands     slash commands as Discord has them and as they should be
doctor       what an operator may have set up wrongly
adapter      the port
"""
