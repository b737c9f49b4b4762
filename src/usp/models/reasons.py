"""The closed list of reasons for which an item, or a value of it, is refused. The text says what would be right."""

from enum import StrEnum


class Reason(StrEnum):
    """Why something sent was not stored; the values are part of the outward contract."""

    WRONG_TOPIC = "wrong_topic"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    UNKNOWN_DEVICE = "unknown_device"
    NO_PROFILE = "no_profile"
    RETIRED_DEVICE = "retired_device"
    NO_CODEC = "no_codec"
    CODEC_FAILED = "codec_failed"
    CODEC_LIMIT = "codec_limit"
    CODEC_TRIPPED = "codec_tripped"
    ADDRESS_MISMATCH = "address_mismatch"
    BAD_FRAME = "bad_frame"
    END_TO_END_ENCRYPTED = "end_to_end_encrypted"
    SIMULATED = "simulated"
    BAD_TIME = "bad_time"
    TIME_WITHOUT_OFFSET = "time_without_offset"
    TIME_IN_FUTURE = "time_in_future"
    TOO_OLD = "too_old"
    BAD_PERIOD = "bad_period"
    NO_INTERVAL = "no_interval"
    NO_KNOWN_FIELD = "no_known_field"
    WRONG_TYPE = "wrong_type"
    OVERFLOW = "overflow"
    UNKNOWN_STATE = "unknown_state"
    CONFLICTING_VALUE = "conflicting_value"
    REFUSED_BY_DATABASE = "refused_by_database"
    INTERNAL_ERROR = "internal_error"


#: What each reason means, and what would be right; shown to whoever sent the item.
EXPLANATIONS: dict[Reason, str] = {
    Reason.WRONG_TOPIC: "The topic is none that the platform reads, such as usp/v1/{device_id}/up.",
    Reason.TOO_LARGE: "The message has more than 2,000,000 bytes, or more than 10,000 items; send it in several.",
    Reason.NOT_JSON: "The payload is not JSON (RFC 8259, UTF-8).",
    Reason.NOT_AN_OBJECT: "The payload is JSON, but neither an object nor an array of objects.",
    Reason.UNKNOWN_DEVICE: "No device of this name is registered; register it, then replay.",
    Reason.NO_PROFILE: "The device's profile is not there; put its file into USP_PROFILES_DIR, restart, then replay.",
    Reason.RETIRED_DEVICE: "The device has been retired; what it measured before that would be accepted.",
    Reason.NO_CODEC: "The network server has not decoded the payload, and the profile names no codec for it.",
    Reason.CODEC_FAILED: "The codec could not decode the payload; the detail holds its own words.",
    Reason.CODEC_LIMIT: "The codec took more time, memory or output than a frame may.",
    Reason.CODEC_TRIPPED: "The codec broke its limits several times in a row, and is left alone for a while; replay.",
    Reason.ADDRESS_MISMATCH: "The topic names one device and the message another; publish under the device's own.",
    Reason.BAD_FRAME: "The uplink's payload is not Base64, or its port no number from 0 to 255.",
    Reason.END_TO_END_ENCRYPTED: "Only the join server has the key of the payload; let the network server decrypt it.",
    Reason.SIMULATED: "The uplink was made up in The Things Stack's console or API; no device measured anything.",
    Reason.BAD_TIME: "`time` is neither RFC 3339 text nor epoch seconds (milliseconds from 10^11).",
    Reason.TIME_WITHOUT_OFFSET: "`time` has no offset, and the device's profile names no zone; add Z or +01:00.",
    Reason.TIME_IN_FUTURE: "`time` is more than 5 minutes ahead of the arrival; set the device's clock.",
    Reason.TOO_OLD: "`time` lies before 2000-01-01 or before the dataset's retention.",
    Reason.BAD_PERIOD: "`period` is not a number of seconds above 0 and up to 86,400.",
    Reason.NO_INTERVAL: "The value belongs to a measuring interval; neither `period` nor the profile tells its length.",
    Reason.NO_KNOWN_FIELD: "No field of the item belongs to a property of the device's kind, or none has a value.",
    Reason.WRONG_TYPE: "The value has another type than the property.",
    Reason.OVERFLOW: "The number is too large to be represented.",
    Reason.UNKNOWN_STATE: "The text is none of the property's states.",
    Reason.CONFLICTING_VALUE: "Another value of the same device and time is already stored; the first one stands.",
    Reason.REFUSED_BY_DATABASE: "The database refused the row.",
    Reason.INTERNAL_ERROR: "The platform itself failed at this item, which is kept; please report it.",
}
