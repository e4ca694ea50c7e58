"""Rounds with the service of a language model, through pydantic-ai. No other module imports it, or a provider's SDK.

Deliberately absent: repeats. A fault ends the turn, and the turn is run again from its inputs, later.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from anthropic import AsyncAnthropic
from httpx2 import HTTPError
from openai import AsyncOpenAI
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.exceptions import (
    AgentRunError,
    ModelAPIError,
    ModelHTTPError,
    ModelQuotaExceededError,
    ModelRequestRejectedError,
    UserError,
)
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters, infer_model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from bot.agent.model.bounded import answer_bytes, bounded_client
from bot.agent.model.profile import Meter, Thought, ToolBox
from bot.agent.model.uses import arguments_of, name_of, words_of
from bot.domain.memory import Called, Entry, Heard, Remembered
from bot.domain.spending import Spent
from bot.errors import ConfigError, ModelAway, ModelRefused

MAX_ROUNDS = 12
"""Requests of one run. A turn that reads a long output page by page takes some eight."""
MAX_CALLS = 16
"""Uses of tools in one answer. Of one that holds more the next is answered with why, and the rest is left out."""
_TOO_MANY_CALLS = "too many tools at once; this one is not used, nor any behind it"
_TOO_MANY_ROUNDS = "I stopped here: this took more steps than one turn may have. Write to me, and I go on."
_WITHHELD = "The service of my language model withheld its answer."
_KEYLESS = "none"
"""What a local server gets that wants no key: its client library refuses to send nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a model is, and what is sent along."""

    model: str
    """`openai:<name>`, `anthropic:<name>`, or another provider's, as pydantic-ai names it."""
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    reply_tokens: int = 2_048
    has_stream: bool = True
    timeout_s: float = 60.0


def open_model(endpoint: Endpoint) -> Model:
    """Raises `ConfigError` where the name means nothing here. Nothing is sent."""
    provider, _, name = endpoint.model.partition(":")
    http = bounded_client(timeout_s=endpoint.timeout_s, limit_bytes=answer_bytes(endpoint.reply_tokens))
    if provider in ("openai", "openai-chat"):
        client = AsyncOpenAI(
            api_key=endpoint.api_key or _KEYLESS, base_url=endpoint.base_url, max_retries=0, http_client=http
        )
        # Without it an answer whose stream broke off would be taken for a whole one.
        profile = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)
        found = OpenAIProvider.model_profile(name)
        whole = profile if found is None else {**found, **profile}
        return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=client), profile=whole)
    if provider == "anthropic":
        theirs = AsyncAnthropic(
            api_key=endpoint.api_key or _KEYLESS, base_url=endpoint.base_url, max_retries=0, http_client=http
        )
        return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=theirs))
    try:
        return infer_model(endpoint.model)
    except (UserError, ImportError, ValueError) as fault:
        # Their text names the variable or the package that is missing, and no value.
        words = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
        raise ConfigError((f"agents: model {endpoint.model!r} cannot be used: {words}",)) from fault


@dataclass(frozen=True, slots=True)
class Dialog:
    """A `Brain` over one model."""

    model: Model
    endpoint: Endpoint

    async def close(self) -> None:
        """End the connections that wait for a next request."""
        client = getattr(self.model, "client", None)
        if isinstance(client, (AsyncOpenAI, AsyncAnthropic)):
            await client.close()

    async def think(
        self, instructions: str, past: Sequence[Remembered], prompt: str, tools: ToolBox, meter: Meter
    ) -> Thought:
        messages = [*_history(past), ModelRequest(parts=[UserPromptPart(prompt)], instructions=instructions)]
        offered = ModelRequestParameters(
            function_tools=[
                ToolDefinition(name=tool.name, description=tool.description, parameters_json_schema=tool.schema())
                for tool in tools.offered()
            ]
        )
        called: list[Called] = []
        for _ in range(MAX_ROUNDS):
            meter.add(Spent(requests=1))
            response = await self._request(messages, offered)
            usage = response.usage
            # A server that counts below nothing would fill up a budget.
            meter.add(Spent(tokens_read=max(0, usage.input_tokens), tokens_written=max(0, usage.output_tokens)))
            if not response.tool_calls:
                return Thought(text=_text_of(response), called=tuple(called))
            is_cut = response.finish_reason == "length"
            response, given = _readable(response)
            answers = [await _answer(tools, call, given, is_cut=is_cut) for call in response.tool_calls]
            called += [
                Called(tool=call.tool_name, arguments=call.args_as_json_str(), answer=answer)
                for call, answer in zip(response.tool_calls, answers, strict=True)
            ]
            returned = [
                ToolReturnPart(tool_name=call.tool_name, content=answer, tool_call_id=call.tool_call_id)
                for call, answer in zip(response.tool_calls, answers, strict=True)
            ]
            messages += [response, ModelRequest(parts=returned, instructions=instructions)]
        return Thought(text=_TOO_MANY_ROUNDS, called=tuple(called))

    async def _request(self, messages: list[ModelMessage], offered: ModelRequestParameters) -> ModelResponse:
        settings = ModelSettings(max_tokens=self.endpoint.reply_tokens, timeout=self.endpoint.timeout_s)
        try:
            if not self.endpoint.has_stream:
                response = await model_request(
                    self.model, messages, model_settings=settings, model_request_parameters=offered
                )
            else:
                opened = model_request_stream(
                    self.model, messages, model_settings=settings, model_request_parameters=offered
                )
                async with opened as stream:
                    async for _ in stream:
                        pass
                    response = stream.get()
        except ModelAPIError as fault:
            raise _remedy(fault) from fault
        except (AgentRunError, HTTPError, ValueError) as fault:
            # Junk where an answer should be, or a connection that broke within it.
            raise ModelAway(f"its answer could not be read ({type(fault).__name__})") from fault
        if response.finish_reason is None:
            raise ModelAway("its answer broke off")
        return response


def _remedy(fault: ModelAPIError) -> ModelAway | ModelRefused:
    """By the class and the status alone: a service's words may hold what was sent to it."""
    status = fault.status_code if isinstance(fault, ModelHTTPError) else None
    said = type(fault).__name__.strip("_") if status is None else f"HTTP {status}"
    if isinstance(fault, (ModelQuotaExceededError, ModelRequestRejectedError)) or status in {400, 401, 403, 404, 422}:
        return ModelRefused(f"the service refuses ({said}); look at key, model name, address and quota")
    return ModelAway(f"the service does not answer ({said})", retry_after_s=min(fault.retry_after or 0.0, 600.0))


async def _answer(
    tools: ToolBox, call: ToolCallPart, given: Mapping[str, dict[str, object] | str], *, is_cut: bool
) -> str:
    if is_cut:
        return "Nothing was done: your answer was cut off at its limit of tokens. Use fewer words."
    arguments = given[call.tool_call_id]
    if isinstance(arguments, str):
        return f"Nothing was done: {arguments}."
    return await tools.use(call.tool_name, arguments)


def _readable(response: ModelResponse) -> tuple[ModelResponse, dict[str, dict[str, object] | str]]:
    """The response as a service takes it back; and the arguments by the id of their use, or what is wrong with them."""
    given: dict[str, dict[str, object] | str] = {}
    parts: list[ModelResponsePart] = []
    for part in response.parts:
        if isinstance(part, ToolCallPart):
            if len(given) > MAX_CALLS:
                continue
            # As it was written: the library's own reading wraps what is no object into one.
            written = part.args if isinstance(part.args, str) else json.dumps(part.args or {})
            found = arguments_of(written) if len(given) < MAX_CALLS else _TOO_MANY_CALLS
            # Two calls of one id would be answered as one.
            number = f"{part.tool_call_id}-{len(given)}" if part.tool_call_id in given else part.tool_call_id
            args = "{}" if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
            # All else of it is kept: some services want their own marks back.
            call = cast("ToolCallPart", part)
            parts.append(replace(call, tool_name=name_of(part.tool_name), args=args, tool_call_id=number))
            given[number] = found
        elif not isinstance(part, TextPart):
            parts.append(part)
        elif words := words_of(part.content):
            parts.append(replace(part, content=words))
    return replace(response, parts=parts), given


def _text_of(response: ModelResponse) -> str:
    if response.finish_reason == "content_filter":
        return _WITHHELD
    text = words_of("".join(part.content for part in response.parts if isinstance(part, TextPart)))
    return f"{text} […]" if response.finish_reason == "length" and text else text


def _history(past: Sequence[Remembered]) -> list[ModelMessage]:
    """Turns as the library says them. Ids of uses of tools are drawn anew: each provider has its own form of them."""
    entries = [entry for turn in past for entry in turn.entries]
    return [message for number, entry in enumerate(entries) for message in _messages(entry, f"call_{number}")]


def _messages(entry: Entry, call_id: str) -> list[ModelMessage]:
    match entry:
        case Heard():
            return [ModelRequest(parts=[UserPromptPart(entry.text)])]
        case Called():
            call = ToolCallPart(tool_name=entry.tool, args=entry.arguments, tool_call_id=call_id)
            answer = ToolReturnPart(tool_name=entry.tool, content=entry.answer, tool_call_id=call_id)
            return [ModelResponse(parts=[call]), ModelRequest(parts=[answer])]
        case _:
            # A provider refuses empty words.
            return [ModelResponse(parts=[TextPart(entry.text if entry.text.strip() else "(no words)")])]
