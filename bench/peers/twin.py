"""A minimal twin of the service, as many would write it: FastAPI, SQLAlchemy, asyncpg.

The same routes, a sealed challenge and a signed token, and nothing else: no limits, no check of the
session's age, no audit trail, no metrics, no log. A challenge may be used any number of times.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import Depends, FastAPI, Header, HTTPException
from jwcrypto import jwe, jwk
from pydantic import BaseModel
from sqlalchemy import ForeignKey, Index, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

CONNECTIONS = 10
LIFE = 86_400
NEWEST = 100
SIGNING_KEY = ec.generate_private_key(ec.SECP256R1())
VERIFYING_KEY = SIGNING_KEY.public_key()
SEALING_KEY = jwk.JWK.generate(kty="oct", size=256)
CODE_KEY = secrets.token_bytes(32)

engine = create_async_engine(
    os.environ["DATABASE_URL"], pool_size=CONNECTIONS, max_overflow=0, pool_timeout=60
)
new_session = async_sessionmaker(engine, expire_on_commit=False)


def now() -> float:
    return datetime.now(UTC).timestamp()  # noqa: TID251 - a peer has its own clock


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    phone: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str | None]
    email: Mapped[str | None]
    invite_code: Mapped[str] = mapped_column(unique=True)
    inviter_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    invitee_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[float]

    __table_args__ = (Index("users_by_inviter", "inviter_id", "created_at"),)


class InviteOpens(Base):
    __tablename__ = "invite_opens"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    day: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]


class Session(Base):
    __tablename__ = "sessions"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    refresh_digest: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[float]


class Code(Base):
    __tablename__ = "codes"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    phone: Mapped[str] = mapped_column(index=True)
    digest: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[float]


class Phone(BaseModel):
    phone: str


class Guess(BaseModel):
    token: str
    code: str


class Refresh(BaseModel):
    refresh_token: str


class Profile(BaseModel):
    phone: str
    name: str | None
    email: str | None
    invite_code: str
    activated_invite_code: str | None
    invitees: list[str]
    invitee_count: int
    invite_opens: int
    created_at: datetime


class Tokens(BaseModel):
    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - no password
    expires_in: int = LIFE
    refresh_token: str


class SignIn(Tokens):
    profile: Profile


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def database() -> AsyncIterator[AsyncSession]:
    async with new_session() as session:
        yield session


Database = Annotated[AsyncSession, Depends(database)]


async def signed_in(database: Database, authorization: Annotated[str, Header()]) -> User:
    try:
        claims = jwt.decode(
            authorization.removeprefix("Bearer "), VERIFYING_KEY, algorithms=["ES256"]
        )
    except jwt.InvalidTokenError:
        raise HTTPException(401) from None
    found = await database.execute(
        select(User)
        .join(Session, Session.user_id == User.id)
        .where(Session.id == uuid.UUID(claims["sid"]))
    )
    user = found.scalar_one_or_none()
    if user is None:
        raise HTTPException(401)
    return user


@app.get("/health/ready")
async def ready() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/api/v1/auth/send-code")
async def send_code(body: Phone) -> dict[str, str]:
    code = f"{secrets.randbelow(10_000):04}"
    challenge = {
        "phone": body.phone,
        "digest": _digest(body.phone, code),
        "exp": now() + LIFE,
    }
    token = jwe.JWE(json.dumps(challenge).encode(), json.dumps({"alg": "dir", "enc": "A256GCM"}))
    token.add_recipient(SEALING_KEY)
    return {"token": token.serialize(compact=True), "phone": body.phone, "code": code}


@app.post("/stored/auth/send-code")
async def send_stored_code(body: Phone, database: Database) -> dict[str, str]:
    """With a table of codes, as most keep them; nothing here reads it."""
    code = f"{secrets.randbelow(10_000):04}"
    row = Code(
        id=uuid.uuid4(),
        phone=body.phone,
        digest=_digest(body.phone, code),
        expires_at=now() + LIFE,
    )
    async with database.begin():
        database.add(row)
    return {"token": str(row.id), "phone": body.phone, "code": code}


@app.post("/api/v1/auth/verify")
async def verify(body: Guess, database: Database) -> SignIn:
    token = jwe.JWE()
    try:
        token.deserialize(body.token, SEALING_KEY)
    except jwe.InvalidJWEData:
        raise HTTPException(400) from None
    challenge = json.loads(token.payload)
    if now() > challenge["exp"]:
        raise HTTPException(400)
    if not hmac.compare_digest(challenge["digest"], _digest(challenge["phone"], body.code)):
        raise HTTPException(400)
    async with database.begin():
        user = await database.scalar(select(User).where(User.phone == challenge["phone"]))
        if user is None:
            user = User(
                id=uuid.uuid4(),
                phone=challenge["phone"],
                invite_code=secrets.token_hex(3).upper(),
                created_at=now(),
            )
            database.add(user)
            await database.flush()
        refresh_token = secrets.token_urlsafe(32)
        session = Session(
            id=uuid.uuid4(),
            user_id=user.id,
            refresh_digest=_hash(refresh_token),
            created_at=now(),
        )
        database.add(session)
        profile = await _profile(database, user)
    return SignIn(access_token=_access(session), refresh_token=refresh_token, profile=profile)


@app.post("/api/v1/auth/refresh")
async def refresh(body: Refresh, database: Database) -> Tokens:
    async with database.begin():
        session = await database.scalar(
            select(Session).where(Session.refresh_digest == _hash(body.refresh_token))
        )
        if session is None:
            raise HTTPException(401)
        refresh_token = secrets.token_urlsafe(32)
        session.refresh_digest = _hash(refresh_token)
    return Tokens(access_token=_access(session), refresh_token=refresh_token)


@app.get("/api/v1/profile")
async def profile(user: Annotated[User, Depends(signed_in)], database: Database) -> Profile:
    return await _profile(database, user)


async def _profile(database: AsyncSession, user: User) -> Profile:
    invitees = await database.scalars(
        select(User.phone)
        .where(User.inviter_id == user.id)
        .order_by(User.created_at.desc())
        .limit(NEWEST)
    )
    opens = await database.scalar(
        select(func.sum(InviteOpens.number)).where(InviteOpens.user_id == user.id)
    )
    inviter = await database.get(User, user.inviter_id) if user.inviter_id else None
    return Profile(
        phone=user.phone,
        name=user.name,
        email=user.email,
        invite_code=user.invite_code,
        activated_invite_code=inviter.invite_code if inviter else None,
        invitees=list(invitees),
        invitee_count=user.invitee_count,
        invite_opens=opens or 0,
        created_at=datetime.fromtimestamp(user.created_at, UTC),
    )


def _access(session: Session) -> str:
    claims = {"sub": str(session.user_id), "sid": str(session.id), "exp": int(now()) + LIFE}
    return jwt.encode(claims, SIGNING_KEY, algorithm="ES256")


def _digest(phone: str, code: str) -> str:
    return hmac.digest(CODE_KEY, f"{phone}.{code}".encode(), hashlib.sha256).hex()


def _hash(refresh_token: str) -> str:
    return hashlib.sha256(refresh_token.encode()).hexdigest()


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PORT"]), access_log=False, log_level="warning")
