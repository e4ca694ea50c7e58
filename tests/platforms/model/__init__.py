"""A language model's service on loopback, in two wires: OpenAI's and Anthropic's, strict about what it is sent.

script     what the model does: says, uses tools, or fails in one of the ways that services fail
strict     what the real services refuse, and that this one refuses as well
openai     chat completions, whole and streamed
anthropic  messages, whole and streamed
server     the HTTP server, which records every request
"""
