"""Tapetum: visible-infrared person re-identification."""
