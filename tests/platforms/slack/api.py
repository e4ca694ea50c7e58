"""The Web API, method by method: what each needs, does, answers and refuses.

Deliberately absent: HTTP and faults on order (`server.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.platforms.slack import surfaces
from tests.platforms.slack.blocks import Form, Refused, check_message
from tests.platforms.slack.payloads import changed_event, message_event
from tests.platforms.slack.world import App, Conversation, Ephemeral, Message, World, message_form

NEEDS = {
    "chat.postMessage": "chat:write",
    "chat.update": "chat:write",
    "chat.delete": "chat:write",
    "chat.postEphemeral": "chat:write",
    "conversations.open": "im:write",
    "reactions.add": "reactions:write",
    "reactions.remove": "reactions:write",
    "reactions.get": "reactions:read",
    "files.getUploadURLExternal": "files:write",
    "files.completeUploadExternal": "files:write",
    "users.info": "users:read",
}
_KINDS = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}
_TS = re.compile(r"\d{10}\.\d{6}")


@dataclass(slots=True)
class WebApi:
    world: World
    base_url: Callable[[], str]
    tell: Callable[[str, Form], None]
    """An event in this conversation, for every app that is in it."""
    triggers: dict[str, float] = field(default_factory=dict)
    """trigger_id -> until when it is good, by the loop's clock."""
    clock: Callable[[], float] = float
    opened: list[tuple[str, Form]] = field(default_factory=list)
    """Modals that were opened: (trigger_id, view)."""

    def call(self, method: str, app: App, form: Form) -> Form:
        answer = _METHODS.get(method)
        if answer is None:
            raise Refused("unknown_method")
        if method in NEEDS:
            self._scope(app, NEEDS[method])
        return answer(self, app, form)

    # --- who and where -----------------------------------------------------------------------------

    def _scope(self, app: App, scope: str) -> None:
        if scope not in app.scopes.split(","):
            raise Refused("missing_scope", needed=scope, provided=app.scopes)

    def conversation(self, app: App, form: Form, *, member: bool = True) -> Conversation:
        given = form.get("channel") or ""
        conversation = self.world.conversations.get(given)
        person = self.world.people.get(given)
        if person is not None and person.team == app.team.id:
            conversation = self.world.direct(app.bot_user, person.id, app.team)
        if conversation is None or conversation.team != app.team.id:
            raise Refused("channel_not_found")
        if app.bot_user not in conversation.members and (conversation.kind != "channel" or member):
            raise Refused("not_in_channel" if conversation.kind == "channel" else "channel_not_found")
        return conversation

    def message(self, conversation: Conversation, ts: object, error: str = "message_not_found") -> Message:
        message = conversation.messages.get(str(ts))
        if message is None:
            raise Refused(error)
        return message

    def auth_test(self, app: App, form: Form) -> Form:
        del form
        answer: Form = {
            "url": f"https://{app.team.domain}.slack.example/",
            "team": app.team.domain,
            "user": f"homing-{app.account}",
            "team_id": app.team.id,
            "user_id": app.bot_user,
            "bot_id": app.bot_id,
            "is_enterprise_install": False,
        }
        return answer | ({"enterprise_id": app.team.enterprise} if app.team.enterprise else {})

    def users_info(self, app: App, form: Form) -> Form:
        person = self.world.people.get(str(form.get("user")))
        if person is None or person.team != app.team.id:
            raise Refused("user_not_found")
        profile = {"display_name": person.name, "real_name": person.name.title()}
        user = {"id": person.id, "name": person.name, "is_bot": person.is_bot, "team_id": person.team}
        return {"user": user | {"profile": profile, "real_name": person.name.title(), "deleted": False}}

    def conversations_open(self, app: App, form: Form) -> Form:
        people = [one for one in str(form.get("users") or "").split(",") if one]
        if not people:
            raise Refused("users_list_not_supplied")
        for one in people:
            person = self.world.people.get(one)
            if person is None or person.team != app.team.id:
                raise Refused("user_not_found")
            if person.is_bot:
                raise Refused("cannot_dm_bot")
        if len(people) > 1:
            self._scope(app, "mpim:write")
        conversation = self.world.direct(app.bot_user, people[0], app.team)
        return {"channel": {"id": conversation.id}, "no_op": True, "already_open": True}

    def conversations_info(self, app: App, form: Form) -> Form:
        conversation = self.conversation(app, form, member=False)
        self._scope(app, f"{_KINDS[conversation.kind]}:read")
        info = conversation.info() | {"is_member": app.bot_user in conversation.members}
        if conversation.kind == "im":
            info["user"] = conversation.with_person(app.bot_user)
        return {"channel": info}

    def conversations_of(self, app: App, form: Form) -> Form:
        kinds = str(form.get("types") or "public_channel").split(",")
        names = {"public_channel": "channel", "private_channel": "group", "mpim": "mpim", "im": "im"}
        wanted = {names[kind] for kind in kinds}
        for kind in wanted:
            self._scope(app, f"{_KINDS[kind]}:read")
        found = [one for one in self.world.conversations.values() if app.bot_user in one.members]
        return {"channels": [one.info() for one in found if one.kind in wanted], "response_metadata": _cursor("")}

    # --- messages ----------------------------------------------------------------------------------

    def post(self, app: App, form: Form) -> Form:
        conversation = self.conversation(app, form)
        if conversation.is_archived:
            raise Refused("is_archived")
        check_message(form)
        thread = form.get("thread_ts")
        if thread is not None:
            # Slack says nothing of a thread that is gone: what was meant for it stands in the channel.
            root = conversation.messages.get(str(thread))
            thread = None if root is None else root.thread_ts or root.ts
        message = Message(
            channel=conversation.id,
            ts=self.world.ts(),
            user=app.bot_user,
            text=str(form.get("text") or ""),
            bot_id=app.bot_id,
            app_id=app.id,
            thread_ts=thread,
            blocks=surfaces.with_ids(form.get("blocks") or []),
            metadata=form.get("metadata") or None,
            unfurls=(_true(form.get("unfurl_links", True)), _true(form.get("unfurl_media", True))),
            link_names=_true(form.get("link_names", False)) or form.get("parse") == "full",
        )
        self.world.keep(message)
        self.tell(conversation.id, message_event(message, conversation, self.world))
        return {"channel": conversation.id, "ts": message.ts, "message": message_form(message, self.world)}

    def update(self, app: App, form: Form) -> Form:
        conversation = self.conversation(app, form)
        message = self.message(conversation, form.get("ts"))
        if message.bot_id != app.bot_id:
            raise Refused("cant_update_message")
        if conversation.is_archived:
            raise Refused("is_archived")
        check_message(form)
        message.earlier.append(message.blocks)
        if form.get("text") is not None:
            message.text = str(form["text"])
        if "blocks" in form or form.get("text") is not None:
            # Words without blocks take the blocks away.
            message.blocks = surfaces.with_ids(form.get("blocks") or [])
        if "metadata" in form:
            message.metadata = form["metadata"] or None
        for file_id in form.get("file_ids") or []:
            message.files.append(surfaces.file_of(self, app, file_id))
        message.edited = self.world.ts()
        self.tell(conversation.id, changed_event(message, conversation, self.world))
        return {
            "channel": conversation.id,
            "ts": message.ts,
            "text": message.text,
            "message": message_form(message, self.world),
        }

    def delete(self, app: App, form: Form) -> Form:
        conversation = self.conversation(app, form)
        message = self.message(conversation, form.get("ts"))
        if message.bot_id != app.bot_id:
            raise Refused("cant_delete_message")
        del conversation.messages[message.ts]
        return {"channel": conversation.id, "ts": message.ts}

    def ephemeral(self, app: App, form: Form) -> Form:
        conversation = self.conversation(app, form)
        if conversation.is_archived:
            raise Refused("is_archived")
        if form.get("user") not in conversation.members:
            raise Refused("user_not_in_channel")
        check_message(form)
        self.whisper(conversation.id, str(form["user"]), form)
        return {"message_ts": self.world.ts()}

    def whisper(self, channel: str, person: str, form: Form) -> None:
        blocks = form.get("blocks") or []
        shown = Ephemeral(channel=channel, user=person, text=str(form.get("text") or ""), blocks=blocks)
        shown.thread_ts = form.get("thread_ts")
        self.world.ephemerals.append(shown)

    def history(self, app: App, form: Form) -> Form:
        conversation = self.conversation(app, form)
        self._scope(app, f"{_KINDS[conversation.kind]}:history")
        return self._page(conversation.top()[::-1], form)

    def replies(self, app: App, form: Form) -> Form:
        conversation = self.conversation(app, form)
        self._scope(app, f"{_KINDS[conversation.kind]}:history")
        asked = self.message(conversation, form.get("ts"), "thread_not_found")
        root = conversation.messages.get(asked.thread_ts or asked.ts, asked)
        return self._page([root, *conversation.replies(root.ts)], form, always=root)

    def _page(self, messages: list[Message], form: Form, always: Message | None = None) -> Form:
        for name in ("oldest", "latest"):
            if form.get(name) and not re.fullmatch(r"\d+(\.\d+)?", str(form[name])):
                raise Refused(f"invalid_ts_{name}")
        oldest, latest = float(form.get("oldest") or 0), float(form.get("latest") or "inf")
        whole = _true(form.get("inclusive", False))
        found = [
            one
            for one in messages
            if one is always
            or oldest < float(one.ts) < latest
            or (whole and str(one.ts) in {str(form.get("oldest")), str(form.get("latest"))})
        ]
        limit = min(int(form.get("limit") or 100), 999)
        start = int(str(form.get("cursor") or "c0")[1:])
        part, is_more = found[start : start + limit], len(found) > start + limit
        with_metadata = _true(form.get("include_all_metadata", False))
        return {
            "messages": [message_form(one, self.world, all_metadata=with_metadata) for one in part],
            "has_more": is_more,
            "response_metadata": _cursor(f"c{start + limit}" if is_more else ""),
        }


def _true(value: object) -> bool:
    return str(value).lower() in {"true", "1"}


def _cursor(cursor: str) -> Form:
    return {"next_cursor": cursor}


_METHODS: dict[str, Callable[[WebApi, App, Form], Form]] = {
    "auth.test": WebApi.auth_test,
    "users.info": WebApi.users_info,
    "conversations.open": WebApi.conversations_open,
    "conversations.info": WebApi.conversations_info,
    "conversations.list": WebApi.conversations_of,
    "users.conversations": WebApi.conversations_of,
    "conversations.history": WebApi.history,
    "conversations.replies": WebApi.replies,
    "chat.postMessage": WebApi.post,
    "chat.update": WebApi.update,
    "chat.delete": WebApi.delete,
    "chat.postEphemeral": WebApi.ephemeral,
    **surfaces.METHODS,
}
