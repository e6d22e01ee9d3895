"""Pages that are kept in the cache: by a decorator, and by a tag of a template."""

from uuid import uuid4

from django.http import HttpRequest, HttpResponse
from django.template import Context, Engine
from django.urls import path
from django.views.decorators.cache import cache_page

FRAGMENT = Engine(libraries={"cache": "django.templatetags.cache"}).from_string(
    "{% load cache %}{% cache 60 menu %}{{ value }}{% endcache %}"
)


@cache_page(60)
def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{request.build_absolute_uri()} {uuid4()}")


def fragment(request: HttpRequest) -> HttpResponse:
    return HttpResponse(FRAGMENT.render(Context({"value": uuid4()})))


urlpatterns = [path("page/", page), path("fragment/", fragment)]
