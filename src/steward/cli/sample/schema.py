"""The tables of the application's database as the two reports read them, in SQL that SQLite and PostgreSQL understand.

`allowable_categories` is a JSON array of texts. `total_price` is `quantity * unit_price + tax - discount` to the cent,
and `grants.spent_amount` the sum of it. A follow-up that is not due yet is NULL; true means still employed.
"""

from __future__ import annotations

from typing import Final

SCHEMA: Final = """\
CREATE TABLE members (
    id INTEGER PRIMARY KEY, member_number VARCHAR(20) NOT NULL UNIQUE, first_name VARCHAR(80) NOT NULL,
    middle_name VARCHAR(80), last_name VARCHAR(80) NOT NULL, address VARCHAR(200), city VARCHAR(80),
    state VARCHAR(2), zip_code VARCHAR(10), phone VARCHAR(20), email VARCHAR(254), date_of_birth DATE,
    hire_date DATE, status VARCHAR(20) NOT NULL, classification VARCHAR(20) NOT NULL, notes TEXT,
    status_changed_on DATE, created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL, deleted_at TIMESTAMP
);
CREATE TABLE organizations (
    id INTEGER PRIMARY KEY, name VARCHAR(120) NOT NULL, city VARCHAR(80), state VARCHAR(2),
    is_union BOOLEAN NOT NULL
);
CREATE TABLE member_employments (
    id INTEGER PRIMARY KEY, member_id INTEGER NOT NULL REFERENCES members(id),
    organization_id INTEGER NOT NULL REFERENCES organizations(id), start_date DATE NOT NULL, end_date DATE,
    job_title VARCHAR(80), hourly_rate NUMERIC(8,2), is_current BOOLEAN NOT NULL
);
CREATE TABLE students (
    id INTEGER PRIMARY KEY, member_id INTEGER REFERENCES members(id),
    student_number VARCHAR(20) NOT NULL UNIQUE, first_name VARCHAR(80) NOT NULL, last_name VARCHAR(80) NOT NULL,
    email VARCHAR(254), date_of_birth DATE, gender VARCHAR(20), race_ethnicity VARCHAR(40),
    veteran BOOLEAN NOT NULL, created_at TIMESTAMP NOT NULL, deleted_at TIMESTAMP
);
CREATE TABLE cohorts (
    id INTEGER PRIMARY KEY, name VARCHAR(80) NOT NULL, start_date DATE NOT NULL, end_date DATE NOT NULL
);
CREATE TABLE enrollments (
    id INTEGER PRIMARY KEY, student_id INTEGER NOT NULL REFERENCES students(id),
    cohort_id INTEGER NOT NULL REFERENCES cohorts(id), status VARCHAR(20) NOT NULL, enrolled_date DATE NOT NULL,
    ended_date DATE
);
CREATE TABLE attendance (
    id INTEGER PRIMARY KEY, student_id INTEGER NOT NULL REFERENCES students(id),
    cohort_id INTEGER NOT NULL REFERENCES cohorts(id), session_date DATE NOT NULL, status VARCHAR(20) NOT NULL,
    hours NUMERIC(5,2) NOT NULL
);
CREATE TABLE certifications (
    id INTEGER PRIMARY KEY, student_id INTEGER NOT NULL REFERENCES students(id), name VARCHAR(80) NOT NULL,
    issued_date DATE NOT NULL, expires_date DATE
);
CREATE TABLE placements (
    id INTEGER PRIMARY KEY, student_id INTEGER NOT NULL REFERENCES students(id), employer VARCHAR(120) NOT NULL,
    start_date DATE NOT NULL, hourly_wage NUMERIC(8,2) NOT NULL, is_union BOOLEAN NOT NULL, followup_30 BOOLEAN,
    followup_60 BOOLEAN, followup_90 BOOLEAN
);
CREATE TABLE grants (
    id INTEGER PRIMARY KEY, name VARCHAR(160) NOT NULL, grant_number VARCHAR(40) NOT NULL UNIQUE,
    funding_source VARCHAR(120) NOT NULL, total_amount NUMERIC(12,2) NOT NULL,
    spent_amount NUMERIC(12,2) NOT NULL, start_date DATE NOT NULL, end_date DATE NOT NULL,
    allowable_categories TEXT NOT NULL, reporting_frequency VARCHAR(20) NOT NULL, next_report_due DATE,
    enrollment_cap INTEGER, is_active BOOLEAN NOT NULL, notes TEXT
);
CREATE TABLE grant_budgets (
    id INTEGER PRIMARY KEY, grant_id INTEGER NOT NULL REFERENCES grants(id), category VARCHAR(30) NOT NULL,
    amount NUMERIC(12,2) NOT NULL
);
CREATE TABLE grant_enrollments (
    id INTEGER PRIMARY KEY, grant_id INTEGER NOT NULL REFERENCES grants(id),
    student_id INTEGER NOT NULL REFERENCES students(id), enrolled_date DATE NOT NULL,
    funding_amount NUMERIC(12,2) NOT NULL, status VARCHAR(20) NOT NULL, ended_date DATE,
    exit_reason VARCHAR(120)
);
CREATE TABLE expenses (
    id INTEGER PRIMARY KEY, grant_id INTEGER NOT NULL REFERENCES grants(id), item VARCHAR(160) NOT NULL,
    description TEXT, quantity NUMERIC(10,2) NOT NULL, unit_price NUMERIC(12,2) NOT NULL,
    total_price NUMERIC(12,2) NOT NULL, tax NUMERIC(12,2) NOT NULL, discount NUMERIC(12,2) NOT NULL,
    category VARCHAR(30) NOT NULL, vendor VARCHAR(120), payment_method VARCHAR(10) NOT NULL,
    receipt_number VARCHAR(40), purchased_at TIMESTAMP NOT NULL
);
"""
