"""The columns of the models, for statements written as SQL. Read once, at import."""

from __future__ import annotations

from typing import Any

from tortoise import fields
from tortoise.models import Model

from referral.storage import models

MODELS = tuple(
    each
    for each in vars(models).values()
    if isinstance(each, type) and issubclass(each, Model) and each is not Model
)


def of_model(model: type[Model]) -> dict[str, type[fields.Field[Any]]]:
    """Return the names of a model's columns, and the type of each one's field."""
    described = model.describe(serializable=False)
    found = [described["pk_field"], *described["data_fields"]]
    # Tortoise makes the columns of foreign keys later, when it connects
    links = {f"{each['name']}_id": fields.UUIDField for each in described["fk_fields"]}
    return {each["db_column"]: each["field_type"] for each in found} | links


def of_type(field_type: type[fields.Field[Any]]) -> frozenset[str]:
    """Return the names of all columns of a type. Times and booleans have names of their own."""
    return frozenset(
        name
        for model in MODELS
        for name, kind in of_model(model).items()
        if issubclass(kind, field_type)
    )


def select_list(model: type[Model]) -> str:
    """Return SQL for the values of every column, ids as text."""
    return ", ".join(
        f"CAST({name} AS TEXT) AS {name}" if issubclass(kind, fields.UUIDField) else name
        for name, kind in of_model(model).items()
    )
