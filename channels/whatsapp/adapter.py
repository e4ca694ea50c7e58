"""One WhatsApp sender of a Twilio account as a `Channel`: composition, the port, and what comes of a webhook.

Deliberately absent: HTTP of our side (`routes`), Twilio's API (`twilio_rest`), and edits: WhatsApp has none for us.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from urllib.parse import urlsplit

from aiohttp import web

from bot.domain.message import (
    Answer,
    Attachment,
    ButtonPress,
    Capabilities,
    Delivery,
    DeliveryReport,
    Nonce,
    NotPosted,
    Post,
    PostKind,
    Prose,
    Receipt,
)
from bot.domain.session import AccountName, AgentName, ChannelName, MessageId, Peer, ReturnAddress
from bot.errors import ChannelError, ChannelHeld, ChannelRejected, StoreError
from bot.ports import Check, Inbox
from channels.whatsapp import form, links, wire
from channels.whatsapp.routes import Routes
from channels.whatsapp.sending import Recent, Sending
from channels.whatsapp.twilio_rest import Outgoing, Twilio

log = logging.getLogger(__name__)

FILE_BYTES = 1_000_000
"""Of one file; WhatsApp takes 16 MB: https://www.twilio.com/docs/whatsapp/guidance-whatsapp-media-messages"""
TEMPLATE_EVERY_S = 86_400.0
"""One notice a person and day: the window that it asks to open is as long, and each one costs money."""
MAX_TASKS = 50
"""Of what may fail unseen: typing signs, notices, tidying."""
CLOSE_S = 4.0
AGAIN_S = (5.0, 30.0, 300.0)
"""Between looks at an account that could not be looked at; the last one is repeated."""
SANDBOX = "+14155238886"
"""Twilio's own number for trying: https://www.twilio.com/docs/whatsapp/sandbox"""


class WhatsAppChannel:
    """One account. `mount` before the server starts; `start` begins to take what Twilio delivers."""

    def __init__(
        self,
        *,
        agent: AgentName,
        account: AccountName,
        reply_mode: str,
        account_sid: str,
        auth_token: str,
        sender: str,
        messaging_service_sid: str | None,
        template_sid: str | None,
        api_base: str,
        content_base: str,
        public_url: str,
        now: Callable[[], float],
    ) -> None:
        """`reply_mode` has no meaning here: WhatsApp has no threads."""
        del reply_mode
        self._identity = wire.Identity(agent=agent, account=account, sender=sender)
        self._auth_token, self._template_sid, self._public_url = auth_token, template_sid, public_url
        self._now = now
        self._routes = Routes(self, account=account, auth_token=auth_token, public_url=public_url)
        self._twilio = Twilio(
            account_sid=account_sid,
            auth_token=auth_token,
            sender=wire.address_of(sender),
            service_sid=messaging_service_sid,
            api_base=api_base,
            content_base=content_base,
        )
        self._sending = Sending(self._twilio, self._routes.status_url)
        self._inbox: Inbox | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._noticed: Recent[str, float] = Recent()
        self._files: Recent[str, tuple[str, str]] = Recent(500)
        self._owed: Recent[str, str] = Recent(500)
        """By nonce: whose output is to follow its words as a file."""

    @property
    def name(self) -> ChannelName:
        return wire.WHATSAPP

    @property
    def account(self) -> AccountName:
        return self._identity.account

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            text_chars=form.TEXT_CHARS,
            code_chars=1_000,
            can_edit=False,
            has_buttons=True,
            file_bytes=FILE_BYTES,
            batch_members=form.BATCH_MEMBERS,
            batch_chars=form.BATCH_CHARS,
        )

    def mount(self, app: web.Application) -> None:
        """Add our routes: everything under `/whatsapp/<account>/`."""
        self._routes.mount(app)

    async def start(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._twilio.open()
        self._later(self._look)

    async def close(self) -> None:
        self._inbox = None
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_S)
        await self._twilio.close()

    async def send(self, address: ReturnAddress, post: Post, nonce: Nonce) -> Receipt:
        to = wire.number_of(address.peer, identity=self._identity)
        if post.attachment is not None and post.execution_id is not None and not self._sending.stands(nonce):
            self._owed.put(nonce, post.execution_id)
        try:
            receipt = await self._sending.send(to, form.shown(post), nonce)
        except ChannelHeld:
            self._later(partial(self._notice, to))
            raise
        await self._attach(to, nonce)
        return receipt

    async def edit(self, peer: Peer, message_id: MessageId, post: Post) -> None:
        del peer, message_id, post
        raise ChannelRejected("WhatsApp messages of ours cannot be edited")

    async def find(self, address: ReturnAddress, nonce: Nonce) -> Receipt | NotPosted:
        to = wire.number_of(address.peer, identity=self._identity)
        found = await self._sending.find(to, nonce)
        if isinstance(found, Receipt):
            await self._attach(to, nonce)
        return found

    async def delivery(self, peer: Peer, message_id: MessageId) -> Delivery:
        to = wire.number_of(peer, identity=self._identity)
        message = await self._twilio.message(wire.message_sid(message_id))
        there = self._twilio.there()
        delivery = wire.asked_delivery(
            message.status,
            message.error,
            sent_at=message.updated_at or message.created_at,
            now=self._now() if there is None else there.timestamp(),
        )
        self._sending.learn(message.sid, delivery)
        if delivery is Delivery.HELD:
            self._later(partial(self._notice, to))
        return delivery

    async def check(self) -> Sequence[Check]:
        checks = [self._check_address()]
        self._twilio.open()
        try:
            checks.append(_check_account(await self._twilio.account_status()))
            checks.append(self._check_sender(await self._twilio.senders()))
        except ChannelError as fault:
            remedy = "Compare account_sid and auth_token with the console's front page, and look at api_base."
            checks.append(Check(is_ok=False, said=str(fault), remedy=remedy))
        finally:
            if self._inbox is None:
                await self._twilio.close()
        return checks

    # --- what Twilio delivers ----------------------------------------------------------------------

    async def take_message(self, fields: wire.Fields) -> str | None:
        taken = wire.parse_inbound(fields, identity=self._identity, received_at=self._now())
        inbox = self._listening()
        if taken is None:
            log.info("whatsapp.not_ours", extra={"account": self.account})
            return None
        answer = await (inbox.press(taken) if isinstance(taken, ButtonPress) else inbox.message(taken))
        self._noticed.pop(taken.peer.id)
        if answer.is_working:
            self._later(partial(self._twilio.show_typing, taken.delivery))
        return _note(answer)

    async def take_status(self, fields: wire.Fields, nonce: str) -> None:
        status = wire.parse_status(fields)
        inbox = self._listening()
        await self._sending.note(status, nonce)
        if status.delivery is Delivery.PENDING:
            return
        file = self._files.pop(status.message_id)
        if file is not None and status.delivery is not Delivery.CONFIRMED:
            self._later(partial(self._link, *file))
        if not nonce:
            return
        await self._sending.landed(nonce)
        reason = "" if status.delivery is Delivery.CONFIRMED else wire.reason_of(status.error)
        await inbox.delivered(
            DeliveryReport(
                channel=self.name,
                account=self.account,
                message_id=status.message_id,
                delivery=status.delivery,
                reason=reason,
            )
        )
        if status.delivery is Delivery.HELD and status.to is not None:
            self._later(partial(self._notice, status.to))

    async def file(self, token: str) -> Attachment | None:
        execution_id = links.execution_of(token, account=self.account, auth_token=self._auth_token, now=self._now())
        return None if execution_id is None else await self._listening().output(execution_id)

    def _listening(self) -> Inbox:
        if self._inbox is None:
            raise StoreError("the channel is not started, or is closing")
        return self._inbox

    # --- beside the messages -----------------------------------------------------------------------

    async def _attach(self, to: str, nonce: Nonce) -> None:
        """A message of its own: WhatsApp shows no words beside a document. It may fail; then a link is sent.

        Once, when its words are known to stand.
        """
        execution_id = self._owed.pop(nonce)
        if execution_id is None:
            return
        token = links.sign(execution_id, account=self.account, auth_token=self._auth_token, now=self._now())
        url = self._routes.file_url(token)
        file = Outgoing(to=wire.address_of(to), media_url=url, status_callback=self._routes.status_url(""))
        try:
            message = await self._twilio.send(file)
        except ChannelError as fault:
            log.warning("whatsapp.file_refused", extra={"execution_id": execution_id, "reason": str(fault)})
            self._later(partial(self._link, to, url))
        except asyncio.CancelledError:
            if self._inbox is not None:
                self._later(partial(self._link, to, url))
            raise
        else:
            self._files.put(message.sid, (to, url))

    async def _link(self, to: str, url: str) -> None:
        body = f"The whole output, for one hour: {url}"
        await self._twilio.send(
            Outgoing(to=wire.address_of(to), body=body, status_callback=self._routes.status_url(""))
        )

    async def _notice(self, to: str) -> None:
        """Ask the person to write, so that what is held can follow: the approved template, once a day."""
        last = self._noticed.get(to)
        if self._template_sid is None or (last is not None and self._now() - last < TEMPLATE_EVERY_S):
            return
        self._noticed.put(to, self._now())
        await self._twilio.send(
            Outgoing(
                to=wire.address_of(to), content_sid=self._template_sid, status_callback=self._routes.status_url("")
            )
        )
        log.info("whatsapp.noticed", extra={"account": self.account})

    async def _look(self) -> None:
        """Whether Twilio knows us; said once it is known, and tried again for ever, ever more slowly."""
        attempt = 0
        while True:
            try:
                status = await self._twilio.account_status()
            except ChannelError as fault:
                log.warning("whatsapp.rejected", extra={"account": self.account, "reason": str(fault)})
            else:
                log.info("whatsapp.started", extra={"account": self.account, "status": status})
                break
            await asyncio.sleep(AGAIN_S[min(attempt, len(AGAIN_S) - 1)])
            attempt += 1
        await self._sending.sweep_contents()

    def _later(self, work: Callable[[], Awaitable[None]]) -> None:
        """Beside the call; bounded, and its failure is nothing to the one who called."""
        if len(self._tasks) >= MAX_TASKS:
            return
        task = asyncio.create_task(self._quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _quietly(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except ChannelError as fault:
            log.info("whatsapp.aside_failed", extra={"account": self.account, "reason": str(fault)})

    # --- for the operator --------------------------------------------------------------------------

    def _check_address(self) -> Check:
        said = f"Twilio calls {self._public_url}/whatsapp/{self.account}/message"
        remedy = "Set gateway.public_url to the https address by which the internet reaches this gateway."
        parts = urlsplit(self._public_url)
        host = parts.hostname or ""
        is_private = host == "localhost" or host.endswith((".local", ".internal"))
        with contextlib.suppress(ValueError):
            is_private = not ipaddress.ip_address(host).is_global
        is_ok = parts.scheme == "https" and bool(host) and not is_private
        return Check(is_ok=is_ok, said=said, remedy="" if is_ok else remedy)

    def _check_sender(self, senders: Sequence[tuple[str, str]]) -> Check:
        own = self._identity.sender
        if own == SANDBOX:
            return Check(is_ok=True, said=f"{own} is Twilio's sandbox, for trying only")
        states = dict(senders)
        state = states.get(wire.address_of(own))
        if state is None:
            remedy = "Register it under Messaging, Senders, WhatsApp senders in Twilio's console, or mend `sender`."
            said = f"{own} is no WhatsApp sender of this Twilio account (63007)"
            return Check(is_ok=False, said=said, remedy=remedy)
        is_ok = state.upper().startswith("ONLINE")
        remedy = "" if is_ok else "Look at the sender in Twilio's console; it says what is missing."
        return Check(is_ok=is_ok, said=f"the sender {own} is {state.lower()}", remedy=remedy)


def _check_account(status: str) -> Check:
    is_ok = status == "active"
    remedy = "" if is_ok else "Log in to Twilio's console: a suspended account says there why."
    return Check(is_ok=is_ok, said=f"the Twilio account is {status}", remedy=remedy)


def _note(answer: Answer) -> str | None:
    """A direct conversation is private, so a private note may stand in it."""
    if answer.note is None:
        return None
    return form.shown(Post(kind=PostKind.NOTICE, blocks=(Prose(spans=(answer.note,)),)))[0].body
