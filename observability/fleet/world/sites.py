"""Four invented plants and the devices on them.

Owns names, places, shifts and duty operators. Every plant lies in a time zone without summer time,
so that a fixed offset is its local time and no zone database decides about bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from traces.errors import WrongUse

SHIFTS = ("day", "late", "night")
_SHIFT_STARTS_H = (6, 14, 22)


@dataclass(frozen=True, slots=True)
class Site:
    """A plant. Temperatures in degC; `seasonal_degc` is negative south of the equator.

    `operators` are on duty in the day, late and night shift, which start at 06, 14 and 22 local time.
    """

    name: str
    slug: str
    country: str
    latitude: float
    longitude: float
    time_zone: str
    utc_offset_h: float
    ambient_degc: float
    seasonal_degc: float
    daily_degc: float
    load: float
    hardware: str
    firmware: str
    operators: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Device:
    """A pump with its control valve; `number` counts from 1 on its site, `index` from 0 in the fleet."""

    device_id: str
    index: int
    number: int
    site: Site

    @property
    def critical(self) -> bool:
        """Whether a person must approve a stop: two of three pumps are."""
        return self.number % 3 != 2

    @property
    def canary(self) -> bool:
        """Whether a new release of the stop model comes here first."""
        return self.number % 2 == 1


SITES = (
    Site(
        name="Cinder Flats",
        slug="cinder",
        country="US",
        latitude=33.0471,
        longitude=-112.4129,
        time_zone="America/Phoenix",
        utc_offset_h=-7.0,
        ambient_degc=25.0,
        seasonal_degc=3.5,
        daily_degc=5.5,
        load=0.98,
        hardware="HX-320",
        firmware="4.2.1",
        operators=("R. Castellano", "M. Whitehorse", "J. Okafor"),
    ),
    Site(
        name="Porto Ferraz",
        slug="ferraz",
        country="BR",
        latitude=-23.8712,
        longitude=-46.4193,
        time_zone="America/Sao_Paulo",
        utc_offset_h=-3.0,
        ambient_degc=22.0,
        seasonal_degc=-2.5,
        daily_degc=3.5,
        load=0.93,
        hardware="HX-200",
        firmware="4.2.1",
        operators=("L. Andrade", "C. Teixeira", "P. Moraes"),
    ),
    Site(
        name="Kareeboom",
        slug="karee",
        country="ZA",
        latitude=-26.5338,
        longitude=28.3064,
        time_zone="Africa/Johannesburg",
        utc_offset_h=2.0,
        ambient_degc=18.0,
        seasonal_degc=-3.0,
        daily_degc=5.0,
        load=1.0,
        hardware="HX-320",
        firmware="4.2.1",
        operators=("T. Mokoena", "A. van Wyk", "S. Dlamini"),
    ),
    Site(
        name="Vellanur",
        slug="vella",
        country="IN",
        latitude=12.8274,
        longitude=79.9381,
        time_zone="Asia/Kolkata",
        utc_offset_h=5.5,
        ambient_degc=28.0,
        seasonal_degc=2.0,
        daily_degc=4.0,
        load=0.95,
        hardware="HX-200",
        firmware="4.1.7",
        operators=("K. Subramanian", "D. Fernandes", "N. Iyer"),
    ),
)


def fleet(count: int) -> tuple[Device, ...]:
    """`count` devices, spread over the four sites. Raises WrongUse for fewer than one a site.

    >>> [device.device_id for device in fleet(5)]
    ['cinder-01', 'cinder-02', 'ferraz-01', 'karee-01', 'vella-01']
    """
    if count < len(SITES):
        raise WrongUse(f"{count} devices", f"{len(SITES)} or more", "the fleet has four sites")
    whole, more = divmod(count, len(SITES))
    places = [
        (site, number)
        for at, site in enumerate(SITES)
        for number in range(1, whole + (at < more) + 1)
    ]
    return tuple(
        Device(f"{site.slug}-{number:02d}", index, number, site)
        for index, (site, number) in enumerate(places)
    )


def shift_at(site: Site, epoch_s: float) -> int:
    """Which shift is on duty, as an index of SHIFTS; `epoch_s` in seconds since 1970 UTC.

    >>> SHIFTS[shift_at(SITES[0], 0.0)]  # 17:00 in Arizona
    'late'
    """
    hour = (epoch_s / 3600 + site.utc_offset_h) % 24
    day, late, night = _SHIFT_STARTS_H
    if hour < day or hour >= night:
        return 2
    return 0 if hour < late else 1
