from django.http import JsonResponse
from django.views.generic import ListView

from stock.models import Item


class Items(ListView):
    # Evaluated when the module is imported, which is at the first request.
    queryset = Item.objects.filter(pk__gt=0)

    def render_to_response(self, context, **kwargs):
        return JsonResponse({"items": [item.name for item in context["object_list"]]})
