"""The whole path as stories: real store, real hub, real node, real sockets. One sentence a test."""
