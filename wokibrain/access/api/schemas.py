"""Bodies and responses of signing in."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from wokibrain.rest.fields import ApiModel, BodyModel, Line, example

ACCESS: Final = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl"
REFRESH: Final = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.cmVmcmVzaA"


class LoginBody(BodyModel):
    model_config = example({"username": "host", "password": "correct horse battery"})

    username: Annotated[Line, Field(min_length=1, max_length=150, examples=["host"])]
    password: Annotated[Line, Field(min_length=1, max_length=512, examples=["correct horse battery"])]


class RefreshBody(BodyModel):
    model_config = example({"refreshToken": REFRESH})

    refresh_token: Annotated[Line, Field(min_length=1, max_length=4096)]


class TokensOut(ApiModel):
    """Send the access token as `Authorization: Bearer`; the refresh token can be exchanged once."""

    model_config = example(
        {"accessToken": ACCESS, "refreshToken": REFRESH, "tokenType": "Bearer", "expiresIn": 900}
    )

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int = Field(description="Lifetime of the access token in seconds.", examples=[900])
