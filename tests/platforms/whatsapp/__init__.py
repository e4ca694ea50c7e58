"""Twilio's WhatsApp on loopback, as strict as Twilio: `WhatsAppNetwork` for stories, `TwilioServer` beneath it."""

from tests.platforms.whatsapp.network import WhatsAppNetwork
from tests.platforms.whatsapp.server import TwilioServer

__all__ = ["TwilioServer", "WhatsAppNetwork"]
