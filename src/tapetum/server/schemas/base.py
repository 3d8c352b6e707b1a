"""What all shapes of REST have in common, and the shape of errors."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """Base of all shapes: no unknown key, no number that is not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ErrorOut(Shape):
    """Why a request was not answered."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"error": "invalid", "detail": "Input should be greater than 0", "field": "top"}]
        }
    )

    error: str = Field(description="Names the kind of error, for programs.")
    detail: str = Field(description="Says what is wrong, for people.")
    field: str | None = Field(
        None, description="Part of the request that is meant; absent where no single one is."
    )
