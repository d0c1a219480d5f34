from __future__ import annotations

import pytest

from instances.tests.library_store import Library
from instances.whatsapp.store import Store

ADA, BEN, CLEO = (f"1555010000{number}@s.whatsapp.net" for number in (2, 3, 4))


@pytest.fixture
def library(library: Library) -> Library:
    """Ada and Ben are in the address book, of Cleo only the name that she gives herself is known."""
    library.name_contact(ADA, "Ada")
    library.name_contact(BEN, "Ben")
    library.note_push_name(CLEO, "cleo")
    return library


STRANGER = "15550100009@s.whatsapp.net"


def test_a_status_goes_to_the_chosen_and_then_all_is_as_before(store: Store, library: Library) -> None:
    before = library.contacts()
    store.narrow_audience([BEN, CLEO, STRANGER])
    assert library.status_recipients() == {BEN, CLEO, STRANGER}
    store.restore_contacts()
    assert library.contacts() == before
    assert library.status_recipients() == {ADA, BEN}


def test_after_a_crash_in_between_the_next_one_begins_from_the_whole_address_book(
    store: Store, library: Library
) -> None:
    before = library.contacts()
    store.narrow_audience([BEN])
    store.narrow_audience([ADA])
    assert library.status_recipients() == {ADA}
    store.restore_contacts()
    store.restore_contacts()
    assert library.contacts() == before


def test_what_the_library_writes_meanwhile_stays(store: Store, library: Library) -> None:
    store.narrow_audience([STRANGER])
    library.name_contact(ADA, "Ada Lovelace")
    library.note_push_name(STRANGER, "dan")
    store.restore_contacts()
    assert library.contacts() == [
        (ADA, "Ada Lovelace", None),
        (BEN, "Ben", None),
        (CLEO, None, "cleo"),
        (STRANGER, None, "dan"),
    ]
