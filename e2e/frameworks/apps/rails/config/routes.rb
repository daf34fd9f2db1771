Rails.application.routes.draw do
  root "shop#home"
  get "products/:sku", to: "shop#show"
  get "sign-up", to: "shop#sign_up"
  get "sign-in", to: "shop#sign_in"
  get "profile", to: "shop#profile"
  post "profile", to: "shop#change"
  post "order", to: "shop#order"
  post "newsletter", to: "shop#newsletter"
  post "consent", to: "shop#consent"
  get "prices", to: "shop#prices"
  get "stream", to: "stream#show"
  get "admin", to: "shop#admin"

  if AUTH == "devise"
    devise_for :users, controllers: { registrations: "users/registrations", sessions: "users/sessions" }
  else
    resources :users, only: :create
    get "session/new", to: "shop#sign_in", as: :new_session
    post "session", to: "sessions#create"
    post "log-out", to: "sessions#destroy"
  end
end
