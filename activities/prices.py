"""What a call costs, in whole micro-dollars: by a price in the settings, else by the list of `genai-prices`."""

from decimal import ROUND_CEILING, Decimal

from genai_prices import Usage, calc_price
from pydantic import BaseModel, ConfigDict, Field

_MILLION = Decimal(1_000_000)


class Price(BaseModel):
    """Dollars a million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Decimal = Field(ge=0, le=1_000_000)
    output: Decimal = Field(ge=0, le=1_000_000)


def said_cost(price: Price, input_tokens: int, output_tokens: int) -> int:
    """Micro-dollars by a price of the settings, rounded up. A dollar a million tokens is a micro-dollar each."""
    return _whole(price.input * input_tokens + price.output * output_tokens)


def listed_cost(model: str, input_tokens: int, output_tokens: int) -> int | None:
    """Micro-dollars of a call of `PROVIDER:NAME` by the public list, rounded up; None where the list lacks it."""
    provider, _, name = model.partition(":")
    try:
        found = calc_price(
            Usage(input_tokens=input_tokens, output_tokens=output_tokens), model_ref=name, provider_id=provider
        )
    except LookupError:
        return None
    return _whole(found.total_price * _MILLION)


def _whole(micro_usd: Decimal) -> int:
    return int(micro_usd.to_integral_value(ROUND_CEILING))
