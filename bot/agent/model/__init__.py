"""The agent that is a language model. Imported only where one is configured.

profile    what one agent is: its name, instructions, tools and bounds
prompt     inputs and ended executions -> the text that the model gets, all of unknown origin fenced
tools      what the model may do: ask for a command, look at nodes and output, stop
answering  the `Agent`: one run of the model for each place and person, and the steps that come of it
uses       what a model's service may hand us: names, arguments and words that every service takes back
bounded    the HTTP client for that service, with its bounds
dialog     the rounds with the model's service; alone here it imports pydantic-ai
"""
