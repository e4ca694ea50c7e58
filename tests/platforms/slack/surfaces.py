"""The Web API's methods for what hangs on messages or stands beside them: reactions, files, modals, App Home.

Deliberately absent: messages themselves (`api.py`).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.platforms.slack.blocks import Form, Refused, check_view
from tests.platforms.slack.payloads import message_event, standing_view
from tests.platforms.slack.world import App, File, Message, file_form, message_form

if TYPE_CHECKING:
    from tests.platforms.slack.api import WebApi


def reactions_get(api: WebApi, app: App, form: Form) -> Form:
    conversation = api.conversation(app, form)
    message = api.message(conversation, form.get("timestamp"))
    return {"type": "message", "channel": conversation.id, "message": message_form(message, api.world)}


def react(api: WebApi, app: App, form: Form) -> Form:
    message = api.message(api.conversation(app, form), form.get("timestamp"))
    users = message.reactions.setdefault(_emoji(form), [])
    if app.bot_user in users:
        raise Refused("already_reacted")
    users.append(app.bot_user)
    return {}


def unreact(api: WebApi, app: App, form: Form) -> Form:
    message = api.message(api.conversation(app, form), form.get("timestamp"))
    users = message.reactions.get(_emoji(form), [])
    if app.bot_user not in users:
        raise Refused("no_reaction")
    users.remove(app.bot_user)
    if not users:
        del message.reactions[_emoji(form)]
    return {}


def upload_url(api: WebApi, app: App, form: Form) -> Form:
    if not form.get("filename") or int(form.get("length") or 0) <= 0:
        raise Refused("invalid_arguments")
    file = File(id=api.world.id("F"), name=str(form["filename"]), length=int(form["length"]), app=app.id)
    api.world.files[file.id] = file
    return {"upload_url": f"{api.base_url()}/upload/{file.id}", "file_id": file.id}


def file_of(api: WebApi, app: App, file_id: object) -> File:
    file = api.world.files.get(str(file_id))
    if file is None or file.app != app.id or file.content is None:
        raise Refused("file_not_found")
    return file


def complete_upload(api: WebApi, app: App, form: Form) -> Form:
    files = [file_of(api, app, one.get("id")) for one in form.get("files") or []]
    if not files:
        raise Refused("invalid_arguments")
    if any(file.is_complete for file in files):
        raise Refused("file_update_failed")
    where = form.get("channel_id") or form.get("channels")
    if where:
        conversation = api.conversation(app, {"channel": where})
        if conversation.is_archived:
            raise Refused("is_archived")
        thread = form.get("thread_ts")
        if thread is not None and str(thread) not in conversation.messages:
            thread = None
        text, ts = str(form.get("initial_comment") or ""), api.world.ts()
        message = Message(channel=conversation.id, ts=ts, user=app.bot_user, text=text)
        message.bot_id, message.app_id, message.thread_ts, message.files = app.bot_id, app.id, thread, files
        message.blocks = with_ids(form.get("blocks") or [])
        api.world.keep(message)
        api.tell(conversation.id, message_event(message, conversation, api.world) | {"subtype": "file_share"})
    for file in files:
        file.is_complete, file.shared_in = True, where
    return {"files": [file_form(file) for file in files]}


def views_open(api: WebApi, app: App, form: Form) -> Form:
    trigger = str(form.get("trigger_id") or "")
    if trigger not in api.triggers:
        raise Refused("invalid_trigger_id")
    until = api.triggers[trigger]
    if until == 0:
        raise Refused("exchanged_trigger_id")
    if until < api.clock():
        raise Refused("expired_trigger_id")
    check_view(form.get("view"), kind="modal")
    api.triggers[trigger] = 0
    view = standing_view(app, form["view"], api.world)
    api.opened.append((trigger, view))
    return {"view": view}


def views_publish(api: WebApi, app: App, form: Form) -> Form:
    person = api.world.people.get(str(form.get("user_id")))
    if person is None or person.team != app.team.id:
        raise Refused("invalid_arguments", "user_id")
    if not app.has_home:
        raise Refused("not_enabled")
    check_view(form.get("view"), kind="home")
    view = standing_view(app, form["view"], api.world)
    api.world.homes[app.id, person.id] = view
    return {"view": view}


def with_ids(blocks: list[Form]) -> list[Form]:
    kept = copy.deepcopy(blocks)
    for number, block in enumerate(kept):
        block.setdefault("block_id", f"b{number}x")
    return kept


def _emoji(form: Form) -> str:
    name = str(form.get("name") or "")
    if not re.fullmatch(r"[a-z0-9_+\-']+(::skin-tone-[2-6])?", name):
        raise Refused("invalid_name")
    return name


METHODS: dict[str, Callable[[WebApi, App, Form], Form]] = {
    "reactions.get": reactions_get,
    "reactions.add": react,
    "reactions.remove": unreact,
    "files.getUploadURLExternal": upload_url,
    "files.completeUploadExternal": complete_upload,
    "views.open": views_open,
    "views.publish": views_publish,
}
