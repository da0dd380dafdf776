"""What every table shares: the metadata and the column types of the domain.

`city_id` leads every primary, unique and foreign key: it is the distribution key on the day one
Postgres is outgrown.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, SmallInteger, Text, Uuid
from sqlalchemy.orm import DeclarativeBase, mapped_column

CityKey = Annotated[int, mapped_column(SmallInteger, primary_key=True)]
City = Annotated[int, mapped_column(SmallInteger)]
Key = Annotated[UUID, mapped_column(Uuid, primary_key=True)]
Reference = Annotated[UUID, mapped_column(Uuid)]
TextKey = Annotated[str, mapped_column(Text, primary_key=True)]
Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Fen = Annotated[int, mapped_column(BigInteger)]


class Model(DeclarativeBase):
    """Base of all tables; the schema is owned by Alembic, not by `create_all`."""
