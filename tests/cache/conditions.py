"""
The conditions of the cache, by name.

The model applies each of them unless it is told to drop it. What each is needed for is shown by the histories that
break when it is dropped: ``make check-cache-model`` prints them.
"""

from __future__ import annotations

from enum import Enum

BOUND = 5000
"""B: the oldest sample that a hit may rest on, in ms. Never above Milvus's ``common.gracefulTime``."""

EVENTUAL_BOUND = 8000
"""The same for Eventually, set longer on purpose, in ms."""

FILL_LAG = 1000
"""F: the youngest sample that a fill asks for, in ms."""

SETTLE = 1000
"""How long the generation stays closed after a structural change, in ms: proxies hear of it within that time."""


class Condition(Enum):
    """A condition that can be dropped; the value is the sentence that the table prints."""

    SAMPLE_SEND = "a sample's time is when AllocTimestamp was sent, not when its answer came"
    SAMPLE_POOL = "a sample belongs to one pool"
    SAMPLE_BACK = "a timestamp below the last sample's drops everything"
    SAMPLE_ENDPOINTS = "samples of endpoints that were replaced wholly are dropped, those under way too"
    CLOCK_SUSPEND = "the clock counts the time in which the machine was suspended"

    FILL_YOUNG = "a fill rests on a sample younger than B"
    FILL_LABEL = "an answer's label is the sample that was asked for, not the time of the fill"
    FILL_MAX = "a fill asks for at least the request's own guarantee"
    FILL_GUARANTEE = "a fill sends the guarantee"
    FILL_LEVEL = "a fill sends the level Customized"
    FILL_DEFAULT = "a fill sends use_default_consistency = false"
    FILL_GOOD = "only a wholly good answer is stored"
    FILL_GENERATION = "an answer is stored only if the generation is the one at its send"
    FILL_OPEN = "no fill starts while the generation is closed"

    HIT_AGE = "a hit is at most B old"
    HIT_GUARANTEE = "a hit has the guarantee that a Session or Customized request carries"
    HIT_DEFAULT_GUARANTEE = "a hit has the guarantee that a request with the default level carries"
    HIT_GENERATION = "a hit is of the present generation"
    HIT_OPEN = "no hit while the generation is closed"
    HIT_COMPLETE = "a hit's age is taken when the request is received completely"

    JOIN_AGE = "a call joined is at most B old by its label"
    JOIN_GUARANTEE = "a call joined has the guarantee that the request carries"
    JOIN_GENERATION = "a call joined is of the present generation"
    JOIN_OPEN = "no call is joined while the generation is closed"
    JOIN_GOOD = "followers get a wholly good answer or none"

    STRONG_HIT = "a Strong read is never a hit"
    STRONG_JOIN = "a Strong read never joins a call"
    EVENTUAL_APART = "answers of Eventually reads serve only Eventually reads"
    EVENTUAL_SEND = "an Eventually answer ages from its send, not from its receipt"

    LEVEL_UNKNOWN = "a read with a default level that is not known yet is forwarded as it is"
    LEVEL_EXPIRES = "a learned level is valid for B"
    LEVEL_SEND = "a learned level ages from the send of its DescribeCollection"
    LEVEL_GENERATION = "a learned level is valid in one generation"
    LEVEL_OPEN = "no level is learned while the generation is closed"
    LEVEL_HEADERS = "a level is learned for one set of headers"

    CLOSE_SEEN = "a structural call closes the generation when it is seen"
    CLOSE_OVERLAP = "of several structural calls the last one to end opens the generation"
    BUMP_SUCCESS = "a structural call's success bumps the generation"
    BUMP_UNCERTAIN = "an answer that says nothing certain counts as success"
    BUMP_RELEASE = "the generation is closed and bumped before the answer is released"
    SETTLE_CLOSED = "the generation stays closed for 1 s after a success"
    BUMP_ENDPOINTS = "the generation is bumped when the endpoints are replaced wholly"

    STRUCTURAL_DROP = "DropCollection is structural"
    STRUCTURAL_RENAME = "RenameCollection is structural"
    STRUCTURAL_TRUNCATE = "TruncateCollection is structural"
    STRUCTURAL_ALIAS = "AlterAlias is structural"
    STRUCTURAL_ALTER = "AlterCollection is structural"
    STRUCTURAL_RELEASE = "ReleaseCollection is structural"
    STRUCTURAL_RBAC = "what changes users and privileges is structural"

    KEY_POOL = "the pool is part of the key"
    KEY_METHOD = "the method is part of the key"
    KEY_DATABASE = "the database is part of the key"
    KEY_COLLECTION = "the collection's name is part of the key"
    KEY_PARAMETERS = "the parameters are part of the key"
    KEY_ORDER = "parameters are sorted only where their names are distinct"
    KEY_UNKNOWN = "unknown fields are part of the key"
    KEY_AUTHORIZATION = "authorization is part of the key"
    KEY_HEADERS = "every header that is not known to be irrelevant is part of the key"
    KEY_DIGEST = "keys are compared in full, or by a digest without collisions"


Dropped = frozenset[Condition]
"""The conditions that a run does without."""

NONE: Dropped = frozenset()
