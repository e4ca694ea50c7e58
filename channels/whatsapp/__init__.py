"""WhatsApp, through Twilio. `adapter` is the channel; `wire`, `form`, `links` are pure; `twilio_rest` calls the SDK."""
