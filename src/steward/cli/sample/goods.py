"""What the grants of the sample buy: things with their usual price and number, and who sells them."""

from __future__ import annotations

from typing import Final

GOODS: Final[dict[str, tuple[tuple[str, float, tuple[int, int]], ...]]] = {
    "tools": (
        ("Apprentice tool pouch and belt", 89.95, (4, 18)),
        ("Lineman's pliers, 9 in", 42.5, (6, 24)),
        ("Insulated screwdriver set, 1000 V", 124.0, (4, 16)),
        ("Conduit bender, 3/4 in EMT", 67.25, (2, 10)),
        ("Cable ripper and knife set", 31.8, (5, 20)),
        ("Digital multimeter, true RMS", 189.0, (3, 14)),
        ("Clamp meter, 600 A", 164.5, (2, 10)),
        ("Torque screwdriver kit", 238.0, (1, 6)),
        ("Cordless drill and driver kit, 18 V", 219.0, (1, 8)),
        ("Knockout punch set", 286.4, (1, 4)),
        ("Fish tape, 125 ft", 58.75, (2, 10)),
        ("Laser level, self-levelling", 312.0, (1, 3)),
    ),
    "supplies": (
        ("Workbooks, first year", 54.0, (8, 30)),
        ("Code reference tabs", 17.9, (10, 40)),
        ("Notebooks and pencils", 4.35, (24, 96)),
        ("Printer toner", 118.6, (1, 4)),
        ("Whiteboard markers, box", 21.45, (2, 8)),
        ("Labels for panel schedules", 12.8, (6, 30)),
        ("First-aid refill", 38.25, (1, 6)),
    ),
    "equipment": (
        ("Motor control trainer", 6480.0, (1, 1)),
        ("PLC training station", 4275.0, (1, 2)),
        ("Transformer bank trainer", 5120.0, (1, 1)),
        ("Photovoltaic array simulator", 3890.0, (1, 1)),
        ("Fire alarm control panel, training", 2240.0, (1, 2)),
        ("EV charging station, level 2", 1385.0, (1, 2)),
        ("Hydraulic cable crimper", 1960.0, (1, 2)),
        ("Thermal imaging camera", 1725.0, (1, 2)),
        ("Insulation resistance tester", 948.0, (1, 3)),
    ),
    "travel": (
        ("Airfare to instructors' institute", 386.4, (1, 3)),
        ("Hotel, regional training conference", 174.0, (1, 4)),
        ("Mileage to job-site visit", 0.7, (64, 260)),
        ("Van hire for site tour", 129.5, (1, 2)),
        ("Parking and tolls", 18.0, (1, 6)),
    ),
    "instruction": (
        ("Instructor hours, AC theory", 61.5, (16, 40)),
        ("Instructor hours, motor controls", 63.0, (16, 40)),
        ("Instructor hours, National Electrical Code", 64.5, (16, 40)),
        ("Instructor hours, conduit bending laboratory", 58.5, (12, 36)),
        ("Instructor hours, blueprint reading", 57.0, (12, 32)),
        ("Tutor hours, trade mathematics", 38.5, (10, 36)),
        ("Instructor hours, photovoltaic systems", 66.0, (12, 32)),
        ("Learning platform, licences", 84.0, (8, 30)),
        ("Guest lecture, fibre and structured cabling", 450.0, (1, 2)),
    ),
    "materials": (
        ("EMT conduit, 3/4 in, 10 ft", 11.85, (40, 160)),
        ("THHN wire, 12 AWG, 500 ft", 128.4, (2, 12)),
        ("Romex 12/2, 250 ft", 154.75, (2, 8)),
        ("Load centre, 20 space", 136.0, (1, 8)),
        ("Receptacles, 20 A, box of ten", 43.2, (4, 16)),
        ("Circuit breakers, assorted", 26.9, (8, 40)),
        ("Plywood for mock-ups, 3/4 in", 52.6, (6, 20)),
        ("Strut channel, 10 ft", 34.15, (6, 24)),
        ("Terminal blocks and ferrules", 61.3, (2, 10)),
    ),
    "certifications": (
        ("OSHA 10 course fee", 89.0, (6, 22)),
        ("OSHA 30 course fee", 189.0, (2, 10)),
        ("First aid and CPR course fee", 74.0, (6, 20)),
        ("Forklift operator card", 135.0, (2, 9)),
        ("Aerial lift operator card", 145.0, (2, 8)),
        ("NFPA 70E qualified person course", 265.0, (1, 6)),
        ("Examination fee, trainee card", 52.0, (4, 20)),
    ),
    "safety": (
        ("Arc-flash suit, 12 cal", 418.0, (1, 6)),
        ("Hard hats, class E", 28.6, (8, 30)),
        ("Safety glasses, box of twelve", 44.4, (2, 10)),
        ("Rubber insulating gloves, class 0", 96.5, (4, 16)),
        ("High-visibility vests", 16.75, (10, 40)),
        ("Fall-arrest harness", 182.0, (2, 8)),
        ("Lockout/tagout kit", 127.3, (1, 6)),
        ("Hearing protection, case", 63.9, (1, 6)),
    ),
}
"""Category, then item, usual unit price in dollars, and the range of numbers bought at once."""

VENDORS: Final[dict[str, tuple[tuple[str, bool], ...]]] = {
    "tools": (("Platt & Rowe Tool Supply", False), ("Cascade Tool and Test", True), ("Lineman's Corner", False)),
    "supplies": (
        ("Rose City Office Goods", False),
        ("Training Press Northwest", False),
        ("Vancouver Stationers", True),
    ),
    "equipment": (("Labmaster Training Systems", True), ("Northwest Instrument House", False)),
    "travel": (
        ("Alaska Crossing Travel", False),
        ("Riverside Inn and Conference", True),
        ("Staff reimbursement", False),
    ),
    "instruction": (("Clackamas Community Classrooms", False),),
    "materials": (
        ("Stonebridge Electric Supply", False),
        ("Columbia Wholesale Electric", True),
        ("Builders' Yard", False),
    ),
    "certifications": (("Pacific Safety Institute", False), ("Evergreen Medical Training", False)),
    "safety": (("SafeHand Outfitters", True), ("Cascade Tool and Test", True), ("Tualatin Workwear", False)),
}
"""Category, then vendor, and whether it sells from Washington, where sales tax is due; Oregon has none."""

SOLE_VENDORS: Final = {
    "Instructor hours": "Instructor payroll",
    "Tutor hours": "Instructor payroll",
    "Learning platform": "LearnWire",
    "Mileage": "Staff reimbursement",
    "Airfare": "Alaska Crossing Travel",
    "Hotel": "Riverside Inn and Conference",
}
"""What only one sells, by the item's beginning; none of them adds tax."""

REMARKS: Final = (
    "For the evening class",
    "Replacement for worn stock",
    "Requested by the laboratory instructor",
    "Shared between two cohorts",
    "Second order of the term",
    "For the tool-loan library",
)

CERTIFICATES: Final[tuple[tuple[str, float, int | None], ...]] = (
    ("OSHA 10", 0.92, None),
    ("First Aid/CPR", 0.85, 24),
    ("OSHA 30", 0.26, None),
    ("Forklift", 0.38, 36),
    ("Aerial Lift", 0.3, 36),
    ("NFPA 70E", 0.22, 36),
    ("Flagger", 0.14, 36),
)
"""What students earn: name, share of those who complete, and months until it expires."""
