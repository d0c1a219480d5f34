"""What messages consist of: protobuf on one side, the words of the control API on the other."""

from .describing import describe
from .kinds import content_of, edit_attribute, media_type, stanza_type, unwrapped

__all__ = ["content_of", "describe", "edit_attribute", "media_type", "stanza_type", "unwrapped"]
