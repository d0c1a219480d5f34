"""The words by which people leave an organization's broadcasts and come back."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping

from broadcasts.models import Keywords

LONGEST = 40
STOP = (
    "STOP", "STOP ALL", "UNSUBSCRIBE", "OPT OUT", "BAJA", "DARSE DE BAJA", "PARAR", "SAIR", "DESCADASTRAR", "ARRÊT",
    "DÉSABONNER", "STOPP", "ABMELDEN", "ABBESTELLEN", "DISISCRIVI", "AFMELDEN", "AVSLUTA", "WYPISZ", "СТОП",
    "ОТПИСАТЬСЯ", "IPTAL", "إيقاف", "إلغاء الاشتراك", "रोकें", "BERHENTI", "退订", "停止", "配信停止", "수신거부",
)  # fmt: skip
START = (
    "START", "UNSTOP", "SUBSCRIBE", "OPT IN", "ALTA", "INICIAR", "VOLTAR", "RÉABONNER", "ANMELDEN", "ISCRIVIMI",
    "AANMELDEN", "СТАРТ", "ПОДПИСАТЬСЯ", "اشتراك", "MULAI", "订阅", "配信再開", "수신동의",  # noqa: RUF001
)  # fmt: skip


def normalized(text: str) -> str:
    """Letters and digits alone, without case and accents; empty if there are none."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(character for character in plain if character.isalnum())


def words_of(organization_ids: Collection[str]) -> Mapping[str, tuple[frozenset[str], frozenset[str]]]:
    """For each organization the normalized words to stop and to start."""
    defaults = frozenset(map(normalized, STOP)), frozenset(map(normalized, START))
    own = {
        row.organization_id: (frozenset(map(normalized, row.stop)), frozenset(map(normalized, row.start)))
        for row in Keywords.objects.filter(organization_id__in=organization_ids)
    }
    return {organization_id: own.get(organization_id, defaults) for organization_id in organization_ids}


def shown_words(organization_id: str) -> dict[str, list[str]]:
    """The words of an organization as they are written."""
    row = Keywords.objects.filter(pk=organization_id).first()
    return {"stop": row.stop, "start": row.start} if row else {"stop": list(STOP), "start": list(START)}
