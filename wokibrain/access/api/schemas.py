"""What signing in takes and gives."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from wokibrain.fields import ApiModel, BodyModel, Line


class LoginBody(BodyModel):
    username: Annotated[Line, Field(min_length=1, max_length=150, examples=["host"])]
    password: Annotated[Line, Field(min_length=1, max_length=512, examples=["correct horse battery"])]


class RefreshBody(BodyModel):
    refresh_token: Annotated[Line, Field(min_length=1, max_length=4096)]


class TokensOut(ApiModel):
    """Send the access token as `Authorization: Bearer`; the refresh token is good for one exchange."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int = Field(description="Seconds the access token lives.", examples=[900])
