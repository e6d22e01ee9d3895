from django.urls import path

from stock.views import Items

urlpatterns = [path("", Items.as_view())]
