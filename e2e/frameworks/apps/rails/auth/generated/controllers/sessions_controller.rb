class SessionsController < ApplicationController
  allow_unauthenticated_access only: :create

  def create
    user = User.find_by(email_address: params[:user][:email])&.authenticate(params[:user][:password])
    return redirect_to new_session_path unless user

    start_new_session_for user
    redirect_to root_path
  end

  def destroy
    intilery_track "Signed Out"
    intilery_reset
    terminate_session
    redirect_to new_session_path, status: :see_other
  end
end
