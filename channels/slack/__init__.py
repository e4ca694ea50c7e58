"""Slack, through slack-bolt.

wire         what comes in: payloads -> our values; ids by shape; signatures. Pure.
presses      what comes in by buttons, forms and the slash command. Pure.
typed        a message's words as they were typed, from Slack's ways to write them. Pure.
form         what goes out: a post -> blocks, a form, App Home. Pure.
faults       what went wrong -> the remedy. Pure.
rest         sends, edits and looks, by the bot's token
files        long output as a file
threads      whether a thread stands, before and after a post: Slack posts past one that is gone
pace         one message a second in each channel
hearing      messages and reactions -> the inbox, recorded in the order of each conversation
pressing     buttons, forms, App Home and the slash command, answered inside Slack's 3 s
bolt         payloads -> listeners: acknowledged when they returned
link         Socket Mode: its life and its back-off
routes       the same payloads over signed HTTP
catchup      what was said and reacted to while nobody listened
doctor       what an operator may have set up wrongly
adapter      the port
"""
