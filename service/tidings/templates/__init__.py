"""Renders templates: from a template's name, a locale and data to subject, text and HTML."""

from tidings.templates.errors import (
    Location,
    MissingVariable,
    TemplateError,
    TemplateFailed,
    TemplateNotFound,
    TemplateSyntax,
    TemplateTooExpensive,
)
from tidings.templates.inspection import TemplateInfo
from tidings.templates.library import Level, Problem
from tidings.templates.rendering import Templates
from tidings.templates.starter import STARTER, copy_starter

__all__ = [
    "STARTER",
    "Level",
    "Location",
    "MissingVariable",
    "Problem",
    "TemplateError",
    "TemplateFailed",
    "TemplateInfo",
    "TemplateNotFound",
    "TemplateSyntax",
    "TemplateTooExpensive",
    "Templates",
    "copy_starter",
]
