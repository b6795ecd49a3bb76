"""Pictures in and out: conversion, overlay, sources, bags."""
