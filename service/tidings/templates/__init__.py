"""Finds the words: a template's name, a locale and data become subject, text and HTML."""

from tidings.templates.errors import (
    MissingVariable,
    Place,
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
    "MissingVariable",
    "Place",
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
