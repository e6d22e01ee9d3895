"""The URLs of a mirror that has its own."""

from django.urls import path

from tests.flows.test_requests import show_other

urlpatterns = [path("", show_other)]
